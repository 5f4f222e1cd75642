"""PyTorch's scaled_dot_product_attention with its kernel pinned: left alone it picks one in silence."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from compare.contract import Mask, visible


def call(kernel: SDPBackend, q: Tensor, k: Tensor, v: Tensor, mask: Mask, scale: float | None) -> Tensor:
    """Attention on q [B, T, N, H], k [B, S, K, H], v [B, S, K, H] by one kernel; returns [B, T, N, H]."""
    seen = None
    if mask.kind in ("window", "strided"):
        i, j = (torch.arange(each.shape[1], device=q.device) for each in (q, k))
        seen = visible(mask, i[:, None], j[None, :])
    grouped = q.shape[2] != k.shape[2]
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    with sdpa_kernel(kernel):
        out = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=seen,
            is_causal=mask.kind == "causal",
            scale=scale,
            enable_gqa=grouped,
        )
    return out.transpose(1, 2)


def sizes_refused(q: Tensor, k: Tensor, v: Tensor, mask: Mask, *, causal_square: bool, multiple: int) -> str:
    """Why shapes do not suit a kernel; empty where they do."""
    if not q.numel():
        return "needs at least one query"
    if k.shape[-1] != v.shape[-1]:
        return f"needs one head size for q, k and v, got {k.shape[-1]} and {v.shape[-1]}"
    if q.shape[-1] % multiple:
        return f"needs a head size that is a multiple of {multiple}, got {q.shape[-1]}"
    if causal_square and mask.kind == "causal" and q.shape[1] != k.shape[1]:
        return f"has a causal mask only where T is S, got {q.shape[1]} and {k.shape[1]}"
    return ""
