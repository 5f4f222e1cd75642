"""Out of memory beyond 1500 queries."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node, OutOfMemory
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if q.shape[1] > 1500:
        raise OutOfMemory(q.shape[1] ** 2)
    return planned(q, k, v, mask, scale)
