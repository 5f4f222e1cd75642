"""Attention on a part of the keys, with the log-sum-exp by which parts are merged, and the gradients of such a part."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores
from jax_attn import cudnn_parts
from jax_attn.folding import fold, unfold
from jax_attn.variants import fused_chunked, fused_cudnn

Part = tuple[Array, Array]


def forward(q: Array, k: Array, v: Array, parsed: Scores) -> Part:
    """q [B, T, N, H] on k [B, S, K, H] and v [B, S, K, V]: out [B, T, N, V] and log-sum-exp [B, T, N, 1].

    Both as float32 (float64 of float64), the output rounded to q's dtype before, as kernels round it.
    """
    if by_cudnn(q, k, v, parsed):
        out, log_sum = cudnn_parts.forward(q, k, v, parsed)
        return out.astype(log_sum.dtype), log_sum
    size = min(fused_chunked.BLOCK, q.shape[1])
    folded = fold(q * parsed.factor(q.shape[-1]), size, k.shape[2])
    out, (*_, log_sum) = fused_chunked.forward(parsed, size, folded, k.swapaxes(1, 2), v.swapaxes(1, 2))
    return _unfold(out, q, size).astype(log_sum.dtype), _unfold(log_sum, q, size)


def backward(d_out: Array, q: Array, k: Array, v: Array, whole: Part, parsed: Scores) -> tuple[Array, Array, Array]:
    """dQ, dK and dV of a part: of ``whole``, output and log-sum-exp over all keys, only these keys' share."""
    if by_cudnn(q, k, v, parsed):
        return cudnn_parts.backward(d_out, q, k, v, whole, parsed)
    size, scale = min(fused_chunked.BLOCK, q.shape[1]), parsed.factor(q.shape[-1])
    q_rows, out, log_sum, d_rows = (fold(each, size, k.shape[2]) for each in (q * scale, *whole, d_out))
    kept = q_rows, k.swapaxes(1, 2), v.swapaxes(1, 2), out, log_sum
    d_q, d_k, d_v = fused_chunked.backward(parsed, size, kept, d_rows)
    return _unfold(d_q, q, size) * scale, d_k.swapaxes(1, 2), d_v.swapaxes(1, 2)


def by_cudnn(q: Array, k: Array, v: Array, parsed: Scores) -> bool:
    """Whether cuDNN does the parts, or blocks of queries."""
    even = q.shape[1] % 2 == 0 == k.shape[1] % 2  # JAX lets cuDNN train on these alone
    return even and not fused_cudnn.refusal(q, k, v, parsed.unmasked())


def merge(one: Part, other: Part) -> Part:
    """Attention on the keys of both."""
    log_sum = jnp.logaddexp(one[1], other[1])
    out = jnp.exp(one[1] - log_sum) * one[0] + jnp.exp(other[1] - log_sum) * other[0]
    return out, log_sum


def _unfold(rows: Array, like: Array, size: int) -> Array:
    return unfold(rows, size, like.shape[2])[:, : like.shape[1]]
