"""Strided sparse attention in JAX (Sparse Transformer) that gathers what a query sees, and computes no other scores."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.maths.bands import Rows, strided_rows
from compare.schema.contract import Mask, Variant, check
from jax_attn.variants.window import HIDDEN, band_seen, bands

VARIANT = Variant(
    summary="Strided sparse attention that gathers the visible keys",
    masks=("strided",),
    scores="visible",
    kept_scores=3,
    skips=("strided",),
    solution="sparse attention",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
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

    q = jnp.pad(q * scale, ((0, 0), (0, rows * length - t), (0, 0), (0, 0)))
    q = q.reshape(b, rows, length, kv_heads, n // kv_heads, h)
    near_k, near_v = bands(k, cut.near), bands(v, cut.near)
    far_k, far_v = (
        jnp.pad(each, ((0, 0), (0, key_rows * length - s), (0, 0), (0, 0))).reshape(
            b, key_rows, length, kv_heads, each.shape[-1]
        )
        for each in (k, v)
    )

    near = jnp.einsum("bclkgh,bcrkh->bclkgr", q, near_k)
    far = jnp.einsum("bclkgh,bdlkh->bclkgd", q, far_k)
    scores = jnp.concatenate([near, far], axis=-1)
    seen = jnp.concatenate([band_seen(Mask("window", length), cut.near, s), above(cut, s)], axis=-1)
    masked = jnp.where(seen[:, :, None, None], scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), HIDDEN)
    weights = jax.nn.softmax(masked, axis=-1).astype(scores.dtype)
    near, far = weights[..., : 2 * length], weights[..., 2 * length :]
    out = jnp.einsum("bclkgr,bcrkv->bclkgv", near, near_v) + jnp.einsum("bclkgd,bdlkv->bclkgv", far, far_v)

    return out.reshape(b, rows * length, n, v.shape[-1])[:, :t]


def above(cut: Rows, kv_len: int) -> Array:
    """Which keys of its column stand in rows above a query's: [C, L, D]."""
    length, rows, key_rows = cut
    c, column, d = jnp.arange(rows)[:, None, None], jnp.arange(length)[:, None], jnp.arange(key_rows)
    return (d < c) & (d * length + column < kv_len)
