"""Exactly 1.25 times the naive's fake times."""

from __future__ import annotations

from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    return planned(q, k, v, mask, scale, slower=1.25)
