"""Naive attention in PyTorch that keeps one matrix of T x S between forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from compare.schema.contract import Variant, check, visible
from torch_attn.variants import naive

VARIANT = Variant(
    summary="Naive attention that adds the mask inside the product",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    kept_scores=1,
    solution="lean naive",
    solution_modes=("eager",),
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    As `naive`, but the product adds the mask as it writes the scores, one pass over them less.  PyTorch's softmax keeps
    its result alone in any case.  In a compiled program this is `naive`: the compiler fuses mask and softmax, and a
    mask in the product would have to stand in memory.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if torch.compiler.is_compiling():
        return naive.attention(q, k, v, mask=mask, scale=scale)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    group = n // kv_heads
    scale = parsed.factor(h)

    # [B, T, N, H] -> [B*K, G*T, H]: the query heads that share a key head stand in one product with it.
    q = (q * scale).reshape(b, t, kv_heads, group, h).permute(0, 2, 3, 1, 4).reshape(b * kv_heads, group * t, h)
    k, v = (each.transpose(1, 2).reshape(b * kv_heads, s, each.shape[-1]) for each in (k, v))

    seen = visible(parsed.mask, torch.arange(t, device=q.device)[:, None], torch.arange(s, device=q.device)[None, :])
    bias = torch.zeros(t, s, dtype=q.dtype, device=q.device).masked_fill(~seen, float("-inf"))

    scores = torch.baddbmm(bias.repeat(group, 1), q, k.transpose(-1, -2))
    weights = torch.softmax(
        scores, dim=-1
    )  # PyTorch's kernels compute it in float32 at least and round the result once
    out = torch.bmm(weights, v)

    return out.reshape(b, kv_heads, group, t, v.shape[-1]).permute(0, 3, 1, 2, 4).reshape(b, t, n, v.shape[-1])
