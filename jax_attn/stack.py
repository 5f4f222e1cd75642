"""Layers of attention one upon the other, as a transformer has them, in JAX: one program that scans over them."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array


def stacked(attention: Callable[[Array, Array, Array], Array], layers: int) -> Callable[[Array, Array, Array], Array]:
    """x + attention(x, k, v), ``layers`` times from x = q [B, T, N, H]; every layer has the same k and v [B, S, K, H].

    A scan and no loop: in what is unrolled XLA on a CPU computes anew what jax.checkpoint dropped, but too early.
    """

    def stack(q: Array, k: Array, v: Array) -> Array:
        out: Array = jax.lax.scan(lambda x, _: (x + attention(x, k, v), None), q, None, layers)[0]
        return out

    return stack
