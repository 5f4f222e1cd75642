"""Naive attention in JAX that keeps the probabilities alone: one matrix of T x S between forward and backward."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Variant, check, visible

VARIANT = Variant(
    summary="Naive attention that saves only the probabilities for the backward pass",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    kept_scores=1,
    solution="lean naive",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    As `naive`, but for what is kept: autodiff would keep the softmax's float32 probabilities beside the rounded ones,
    and those once for the softmax and once for the product.  The softmax and the sums inside the
    products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    (b, t, n, h), (s, kv_heads) = q.shape, k.shape[1:3]
    group = n // kv_heads
    scale = parsed.factor(h)

    # [B, T, N, H] -> [B, K, G*T, H]: the query heads that share a key head stand in one product with it.
    q = (q * scale).reshape(b, t, kv_heads, group, h).transpose(0, 2, 3, 1, 4).reshape(b, kv_heads, group * t, h)
    k, v = k.swapaxes(1, 2), v.swapaxes(1, 2)

    seen = visible(parsed.mask, jnp.arange(t)[:, None], jnp.arange(s)[None, :])
    bias = jnp.where(seen, 0.0, -jnp.inf).astype(q.dtype)

    scores = jnp.matmul(q, k.swapaxes(-1, -2)).reshape(b, kv_heads, group, t, s) + bias
    out = weighted(scores.reshape(b, kv_heads, group * t, s), v)

    return out.reshape(b, kv_heads, group, t, v.shape[-1]).transpose(0, 3, 1, 2, 4).reshape(b, t, n, v.shape[-1])


@jax.custom_vjp
def weighted(scores: Array, v: Array) -> Array:
    """softmax(scores) v for scores [B, K, R, S] and v [B, K, S, V]; the softmax is float32 at least, rounded once."""
    return _forward(scores, v)[0]


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _forward(scores: Array, v: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    # One kernel for the maximum and one for the rest are faster on a GPU than XLA's one for both.
    top = jax.lax.optimization_barrier(scores.max(axis=-1, keepdims=True, initial=-jnp.inf))  # type: ignore[no-untyped-call]
    weights = jnp.exp(_wide(scores) - _wide(top))
    weights = (weights / weights.sum(axis=-1, keepdims=True)).astype(scores.dtype)
    out = jnp.matmul(weights, v)
    return out, (weights, v, out)


def _backward(kept: tuple[Array, Array, Array], d_out: Array) -> tuple[Array, Array]:
    weights, v, out = kept
    d_weights = jnp.matmul(d_out, v.swapaxes(-1, -2))
    # The row sums of weights x d_weights are those of out x d_out, which are shorter rows (FlashAttention's step).
    delta = (_wide(out) * _wide(d_out)).sum(axis=-1, keepdims=True)
    d_scores = (_wide(weights) * (_wide(d_weights) - delta)).astype(weights.dtype)
    return d_scores, jnp.matmul(weights.swapaxes(-1, -2), d_out).astype(v.dtype)


weighted.defvjp(_forward, _backward)
