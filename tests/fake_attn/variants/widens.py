"""Computes and returns float64 whatever it is given."""

from __future__ import annotations

import numpy as np

from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    node = planned(q, k, v, mask, scale)
    return node._replace(out=node.out.astype(np.float64))
