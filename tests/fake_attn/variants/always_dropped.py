"""The profiler never sees a kernel."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import BACKWARD_NS, FORWARD_NS, planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    return planned(q, k, v, mask, scale, lost=frozenset(FORWARD_NS | BACKWARD_NS))
