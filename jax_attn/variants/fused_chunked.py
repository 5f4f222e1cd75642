"""Fused attention in JAX by blocks of queries, for devices without a kernel: no T x S matrix is ever held or kept.

Each block meets all keys that its rows can see, so one plain softmax serves it.  The backward pass computes its
probabilities anew from the log-sum-exp (FlashAttention, Dao et al. 2022, arXiv:2205.14135, without tiles of keys).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Mask, Scores, Variant, check, visible
from jax_attn.folding import fold, unfold

VARIANT = Variant(
    summary="Fused attention by blocks of queries, without a kernel of its own",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    skips=("window",),
    solution="FlashAttention",
    only="it is for CPUs, where PyTorch has a kernel of its own",
)

BLOCK = 128
SEGMENTS = 8  # the blocks of a segment run in one loop over keys cut to the segment: 9/16 of all scores if causal
NO_LATER_KEYS = ("causal", "window", "strided")  # masks under which a segment meets no key after its last query
HIDDEN = -1e30  # finite, for rows that only fill up the last block may see nothing


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    Memory grows with T + S.  The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    (_, t, n, h), size = q.shape, min(BLOCK, max(q.shape[1], 1))
    q = fold(q * parsed.factor(h), size, k.shape[2])
    out = _attend(parsed, size, q, k.swapaxes(1, 2), v.swapaxes(1, 2))
    return unfold(out, size, n)[:, :t]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _attend(parsed: Scores, size: int, q: Array, k: Array, v: Array) -> Array:
    """Scaled q [C, B, K, R, H] on k [B, K, S, H] and v [B, K, S, V]: [C, B, K, R, V]; R is G x Q rows, Q the size."""
    return forward(parsed, size, q, k, v)[0]


def _segments(mask: Mask, size: int, blocks: int, kv_len: int) -> Iterator[tuple[slice, slice]]:
    """Blocks that share a loop, and the keys that their rows can see."""
    count = -(-blocks // SEGMENTS)
    for first in range(0, blocks, count):
        end = min(kv_len, (first + count) * size) if mask.kind in NO_LATER_KEYS else kv_len
        start = max(0, first * size - mask.size + 1) if mask.kind == "window" else 0
        yield slice(first, min(first + count, blocks)), slice(min(start, end - 1), end)


def _product(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))  # and left so


def _scores(mask: Mask, size: int, q: Array, kt: Array, block: Array, first_key: int) -> Array:
    i, j = block * size + jnp.arange(q.shape[-2]) % size, first_key + jnp.arange(kt.shape[-1])
    return jnp.where(visible(mask, i[:, None], j), _product(q, kt), HIDDEN)


def forward(parsed: Scores, size: int, q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    """Output, and what backward keeps: q, k, v, the output and the log-sum-exp of each row [C, B, K, R, 1]."""

    def run(keys: slice, block: Array, q: Array) -> tuple[Array, Array]:
        scores = _scores(parsed.mask, size, q, kt[..., keys], block, keys.start)
        weights = jnp.exp(scores - (top := scores.max(axis=-1, keepdims=True, initial=HIDDEN)))
        total = weights.sum(axis=-1, keepdims=True)
        return (_product(weights.astype(v.dtype), v[:, :, keys]) / total).astype(q.dtype), top + jnp.log(total)

    kt = k.mT  # once, and not in every block
    parts = [
        jax.lax.map(lambda each, keys=keys: run(keys, *each), (jnp.arange(len(q))[some], q[some]))
        for some, keys in _segments(parsed.mask, size, len(q), k.shape[2])
    ]
    out, log_sum = (jnp.concatenate(each) for each in zip(*parts, strict=True))
    return out, (q, k, v, out, log_sum)


def backward(parsed: Scores, size: int, kept: tuple[Array, ...], d_out: Array) -> tuple[Array, Array, Array]:
    """dQ, dK and dV, each in the layout of its tensor."""
    q, k, v, out, log_sum = kept
    each = (jnp.arange(len(q)), q, d_out, log_sum, (d_out.astype(log_sum.dtype) * out).sum(-1, keepdims=True))

    def run(keys: slice, sums: tuple[Array, Array], each: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        block, q, d_out, log_sum, delta = each
        weights = jnp.exp(_scores(parsed.mask, size, q, kt[..., keys], block, keys.start) - log_sum)
        d_scores = (weights * (_product(d_out, vt[..., keys]) - delta)).astype(q.dtype)
        sums = sums[0] + _product(q.mT, d_scores), sums[1] + _product(d_out.mT, weights.astype(d_out.dtype))
        return sums, _product(d_scores, k[:, :, keys]).astype(q.dtype)

    kt, vt = k.mT, v.mT  # dK and dV are summed up as [B, K, H, S] too: q and dO are turned, and not the matrices
    d_kt, d_vt, d_q = jnp.zeros_like(kt, log_sum.dtype), jnp.zeros_like(vt, log_sum.dtype), list[Array]()
    for some, keys in _segments(parsed.mask, size, len(q), k.shape[2]):
        sums = d_kt[..., keys], d_vt[..., keys]
        (dk, dv), part = jax.lax.scan(partial(run, keys), sums, tuple(array[some] for array in each))
        d_kt, d_vt, d_q = d_kt.at[..., keys].set(dk), d_vt.at[..., keys].set(dv), [*d_q, part]
    return jnp.concatenate(d_q), d_kt.mT.astype(k.dtype), d_vt.mT.astype(v.dtype)


_attend.defvjp(forward, backward)
