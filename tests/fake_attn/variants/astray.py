"""Raises an error after which the device refuses every kernel, as a GPU does after an illegal access."""

from __future__ import annotations

from typing import Any

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("an earlier kernel went astray")

    DEVICE.launch = refuse  # type: ignore[method-assign]
    raise RuntimeError("a kernel went astray")
