"""Out of memory whatever the size."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node, OutOfMemory

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    raise OutOfMemory(12_345_678)
