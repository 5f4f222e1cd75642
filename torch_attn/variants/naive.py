"""Naive attention in PyTorch: the whole T x S score matrix stands in memory, as the textbook writes it."""

from __future__ import annotations

import torch
from torch import Tensor

from compare.schema.contract import Variant, check, visible

VARIANT = Variant(
    summary="Textbook attention with the whole score matrix in memory",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    kept_scores=3,
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    N is a multiple of K; each key head serves N / K query heads.  ``scale`` is 1 / sqrt(H) unless given.  Scores and
    probabilities stand in the dtype of q; the softmax and the sums inside the products are
    float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    group = n // kv_heads
    scale = parsed.factor(h)

    # [B, T, N, H] -> [B, K, G*T, H]: the query heads that share a key head stand in one product with it.
    q = (q * scale).reshape(b, t, kv_heads, group, h).permute(0, 2, 3, 1, 4).reshape(b, kv_heads, group * t, h)
    k, v = k.transpose(1, 2), v.transpose(1, 2)

    seen = visible(parsed.mask, torch.arange(t, device=q.device)[:, None], torch.arange(s, device=q.device)[None, :])
    bias = torch.zeros(t, s, dtype=q.dtype, device=q.device).masked_fill(~seen, float("-inf"))

    scores = torch.matmul(q, k.transpose(-1, -2)).reshape(b, kv_heads, group, t, s)
    scores = scores + bias
    weights = torch.softmax(
        scores, dim=-1
    )  # PyTorch's kernels compute it in float32 at least and round the result once
    out = torch.matmul(weights.reshape(b, kv_heads, group * t, s), v)

    return out.reshape(b, kv_heads, group, t, v.shape[-1]).permute(0, 3, 1, 2, 4).reshape(b, t, n, v.shape[-1])
