"""Strided sparse attention in PyTorch (Sparse Transformer): gathers what a query sees, and computes no other scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from compare.maths.bands import Rows, strided_rows
from compare.schema.contract import Mask, Variant, check
from torch_attn.variants.window import band_seen, bands

VARIANT = Variant(
    summary="Strided sparse attention that gathers the visible keys",
    masks=("strided",),
    scores="visible",
    kept_scores=3,
    skips=("strided",),
    solution="sparse attention",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    The sequence is written in C rows of L.  A query sees the last L keys, which lie in its own row and the one before
    (R = 2 L), and the column of keys above it (D rows): one softmax over both (Child et al. 2019, arXiv:1904.10509).
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises NotImplementedError for masks other than ``strided:L``, and ValueError for shapes or a mask that do not fit.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    scale = parsed.factor(h)
    cut = strided_rows(parsed.mask, t, s)
    length, rows, key_rows = cut

    q = pad(q * scale, (0, 0, 0, 0, 0, rows * length - t))
    q = q.reshape(b, rows, length, kv_heads, n // kv_heads, h)
    near_k, near_v = bands(k, cut.near), bands(v, cut.near)
    far_k, far_v = (
        pad(each, (0, 0, 0, 0, 0, key_rows * length - s)).reshape(b, key_rows, length, kv_heads, each.shape[-1])
        for each in (k, v)
    )

    near = torch.einsum("bclkgh,bcrkh->bclkgr", q, near_k)
    far = torch.einsum("bclkgh,bdlkh->bclkgd", q, far_k)
    scores = torch.cat([near, far], dim=-1)
    seen = torch.cat(
        [band_seen(Mask("window", length), cut.near, s, q.device), above(cut, s, q.device)],
        dim=-1,
    )
    masked = scores.masked_fill(~seen[:, :, None, None], torch.finfo(scores.dtype).min)
    weights = torch.softmax(
        masked, dim=-1
    )  # PyTorch's kernels compute it in float32 at least and round the result once
    near, far = weights[..., : 2 * length], weights[..., 2 * length :]
    out = torch.einsum("bclkgr,bcrkv->bclkgv", near, near_v) + torch.einsum("bclkgd,bdlkv->bclkgv", far, far_v)

    return out.reshape(b, rows * length, n, v.shape[-1])[:, :t]


def above(cut: Rows, kv_len: int, device: torch.device) -> Tensor:
    """Which keys of its column stand in rows above a query's: [C, L, D]."""
    length, rows, key_rows = cut
    c = torch.arange(rows, device=device)[:, None, None]
    column, d = torch.arange(length, device=device)[:, None], torch.arange(key_rows, device=device)
    return (d < c) & (d * length + column < kv_len)
