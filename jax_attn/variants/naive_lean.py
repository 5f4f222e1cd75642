"""Naive attention in JAX whose softmax keeps its result alone: one matrix of T x S between forward and backward."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.contract import check, visible


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    As `naive`, but for what is kept: autodiff would keep the softmax's float32 probabilities beside the rounded ones.
    Raises ValueError for shapes or a mask that do not fit (`compare.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    group = n // kv_heads
    scale = h**-0.5 if scale is None else scale

    # [B, T, N, H] -> [B, K, G*T, H]: the query heads that share a key head stand in one product with it.
    q = (q * scale).reshape(b, t, kv_heads, group, h).transpose(0, 2, 3, 1, 4).reshape(b, kv_heads, group * t, h)
    k, v = k.swapaxes(1, 2), v.swapaxes(1, 2)

    seen = visible(parsed, jnp.arange(t)[:, None], jnp.arange(s)[None, :])
    bias = jnp.where(seen, 0.0, -jnp.inf).astype(q.dtype)

    scores = jnp.matmul(q, k.swapaxes(-1, -2)).reshape(b, kv_heads, group, t, s)
    weights = softmax(scores + bias)
    out = jnp.matmul(weights.reshape(b, kv_heads, group * t, s), v)

    return out.reshape(b, kv_heads, group, t, v.shape[-1]).transpose(0, 3, 1, 2, 4).reshape(b, t, n, v.shape[-1])


@jax.custom_vjp
def softmax(scores: Array) -> Array:
    """Over the last axis, in float32 at least, rounded once to the dtype of the scores."""
    return jax.nn.softmax(scores.astype(_wide(scores)), axis=-1).astype(scores.dtype)


def _wide(x: Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


def _forward(scores: Array) -> tuple[Array, Array]:
    weights = softmax(scores)
    return weights, weights


def _backward(weights: Array, d_weights: Array) -> tuple[Array]:
    p, dp = weights.astype(_wide(weights)), d_weights.astype(_wide(weights))
    return ((p * (dp - (p * dp).sum(axis=-1, keepdims=True))).astype(weights.dtype),)


softmax.defvjp(_forward, _backward)
