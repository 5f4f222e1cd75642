"""[B, T, N, H] as blocks of rows that share a key head, and back."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def fold(x: Array, size: int, kv_heads: int) -> Array:
    """[B, T, N, H] -> [C, B, K, G*Q, H]: C blocks of Q positions (the size), with all heads that share a key head."""
    (b, t, n, h), blocks = x.shape, -(-x.shape[1] // size) or 1
    x = jnp.pad(x, ((0, 0), (0, blocks * size - t), (0, 0), (0, 0))).reshape(
        b, blocks, size, kv_heads, n // kv_heads, h
    )
    return x.transpose(1, 0, 3, 4, 2, 5).reshape(blocks, b, kv_heads, n // kv_heads * size, h)


def unfold(rows: Array, size: int, heads: int) -> Array:
    """The way back, with the positions that fill up the last block."""
    c, b, kv_heads, _, h = rows.shape
    rows = rows.reshape(c, b, kv_heads, heads // kv_heads, size, h).transpose(1, 0, 4, 2, 3, 5)
    return rows.reshape(b, c * size, heads, h)
