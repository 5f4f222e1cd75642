"""Never answers from a query length of 16 on, and has started a process of its own."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants import hangs
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if q.shape[1] >= 16:
        return hangs.attention(q, k, v)
    return planned(q, k, v, mask, scale)
