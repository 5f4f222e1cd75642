"""Out of memory whatever the size."""

from __future__ import annotations

from tests.fake_attn.device import Array, Node, OutOfMemory


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    raise OutOfMemory(12_345_678)
