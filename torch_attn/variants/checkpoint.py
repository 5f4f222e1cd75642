"""Naive attention in PyTorch that keeps nothing of size T x S: the backward pass computes the scores anew."""

from __future__ import annotations

from functools import partial

import torch.utils.checkpoint
from torch import Tensor

from compare.schema.contract import Variant, check
from torch_attn.variants import naive

VARIANT = Variant(
    summary="Naive attention that recomputes the scores in the backward pass",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    recomputes=True,
    kept_scores=0,
    solution="gradient checkpointing",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    Between forward and backward only q, k and v are kept (Chen et al. 2016, arXiv:1604.06174); while a pass runs, the
    scores stand in memory as in `naive`.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit.
    """
    check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    recomputed = partial(naive.attention, mask=mask, scale=scale)
    out: Tensor = torch.utils.checkpoint.checkpoint(recomputed, q, k, v, use_reentrant=False, preserve_rng_state=False)
    return out
