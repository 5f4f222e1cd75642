"""Sliding-window attention in PyTorch that computes the band of scores that the window shows, and no others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from compare.maths.bands import Band, window_band
from compare.schema.contract import Mask, Variant, check, visible

VARIANT = Variant(
    summary="Sliding-window attention that computes the visible band of scores",
    masks=("window",),
    scores="visible",
    kept_scores=3,
    skips=("window",),
    solution="sparse attention",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    Queries go in C blocks of Q.  Each meets the R keys from the first that its first query sees to its own end, at most
    W + 2 Q of them, so that time and memory grow with T x W (Longformer, Beltagy et al. 2020, arXiv:2004.05150).
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises NotImplementedError for masks other than ``window:W``, and ValueError for shapes or a mask that do not fit.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    scale = parsed.factor(h)
    band = window_band(parsed.mask, t, s)
    size, blocks, _ = band

    q = pad(q * scale, (0, 0, 0, 0, 0, blocks * size - t))
    q = q.reshape(b, blocks, size, kv_heads, n // kv_heads, h)
    k, v = bands(k, band), bands(v, band)

    scores = torch.einsum("bcqkgh,bcrkh->bckgqr", q, k)
    hidden = ~band_seen(parsed.mask, band, s, q.device)[:, None, None]
    scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
    weights = torch.softmax(
        scores, dim=-1
    )  # PyTorch's kernels compute it in float32 at least and round the result once
    out = torch.einsum("bckgqr,bcrkv->bcqkgv", weights, v)

    return out.reshape(b, blocks * size, n, v.shape[-1])[:, :t]


def bands(x: Tensor, band: Band) -> Tensor:
    """Of keys [B, S, K, H] what each block of queries meets, its own keys and those before: [B, C, R, K, H]."""
    (b, s, heads, h), (size, blocks, before) = x.shape, band
    x = x[:, : blocks * size]
    x = pad(x, (0, 0, 0, 0, before * size, max(0, blocks * size - s)))
    x = x.reshape(b, before + blocks, size, heads, h)
    return torch.cat([x[:, at : at + blocks] for at in range(before + 1)], dim=2)


def band_seen(mask: Mask, band: Band, kv_len: int, device: torch.device) -> Tensor:
    """Which of its R keys each of the Q queries of each block sees: [C, Q, R]."""
    size, blocks, before = band
    start = torch.arange(blocks, device=device)[:, None, None] * size
    i = start + torch.arange(size, device=device)[:, None]
    j = start + torch.arange((before + 1) * size, device=device) - before * size
    seen: Tensor = visible(mask, i, j) & (j >= 0) & (j < kv_len)
    return seen
