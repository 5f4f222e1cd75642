"""An output with one NaN."""

from __future__ import annotations

import numpy as np

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    node = planned(q, k, v, mask, scale)
    node.out[0, 0, 0, 0] = np.nan
    return node
