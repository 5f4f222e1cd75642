"""Sliding-window attention in JAX that computes the band of scores that the window shows, and no others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

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

HIDDEN = -1e30  # finite, for rows that only fill up the last block may see nothing


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
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

    q = jnp.pad(q * scale, ((0, 0), (0, blocks * size - t), (0, 0), (0, 0)))
    q = q.reshape(b, blocks, size, kv_heads, n // kv_heads, h)
    k, v = bands(k, band), bands(v, band)

    scores = jnp.einsum("bcqkgh,bcrkh->bckgqr", q, k)
    seen = band_seen(parsed.mask, band, s)[:, None, None]
    masked = jnp.where(seen, scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), HIDDEN)
    weights = jax.nn.softmax(masked, axis=-1).astype(scores.dtype)
    out = jnp.einsum("bckgqr,bcrkv->bcqkgv", weights, v)

    return out.reshape(b, blocks * size, n, v.shape[-1])[:, :t]


def bands(x: Array, band: Band) -> Array:
    """Of keys [B, S, K, H] what each block of queries meets, its own keys and those before: [B, C, R, K, H]."""
    (b, s, heads, h), (size, blocks, before) = x.shape, band
    x = x[:, : blocks * size]
    x = jnp.pad(x, ((0, 0), (before * size, max(0, blocks * size - s)), (0, 0), (0, 0)))
    x = x.reshape(b, before + blocks, size, heads, h)
    return jnp.concatenate([x[:, at : at + blocks] for at in range(before + 1)], axis=2)


def band_seen(mask: Mask, band: Band, kv_len: int) -> Array:
    """Which of its R keys each of the Q queries of each block sees: [C, Q, R]."""
    size, blocks, before = band
    start = jnp.arange(blocks)[:, None, None] * size
    i = start + jnp.arange(size)[:, None]
    j = start + jnp.arange((before + 1) * size) - before * size
    seen: Array = visible(mask, i, j) & (j >= 0) & (j < kv_len)
    return seen
