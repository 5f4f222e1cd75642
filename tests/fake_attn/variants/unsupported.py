"""Refuses every combination."""

from __future__ import annotations

from tests.fake_attn.device import Array, Node


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    raise NotImplementedError(f"needs a head size of 7, got {q.shape[3]}")
