"""Refuses every combination."""

from __future__ import annotations

from compare.schema.contract import Mask, Variant, parse_mask
from tests.fake_attn.device import Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    raise NotImplementedError(refusal(q, k, v, parse_mask(mask)))


def refusal(q: Array, k: Array, v: Array, mask: Mask) -> str:
    """Why it does not run on these inputs."""
    return f"needs a head size of 7, got {q.shape[3]}"
