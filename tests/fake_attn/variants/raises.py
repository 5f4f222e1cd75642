"""Raises an error of its own."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    raise RuntimeError("the fake broke on purpose")
