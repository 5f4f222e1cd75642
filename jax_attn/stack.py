"""Layers of attention one upon the other, as a transformer has them, in JAX: one program."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array

from jax_attn import sequence


def stacked(attention: Callable[[Array, Array, Array], Array], layers: int) -> Callable[[Array, Array, Array], Array]:
    """x + attention(x, k, v), ``layers`` times from x = q [B, T, N, H]; every layer has the same k and v [B, S, K, H].

    On one device a scan and no loop: in what is unrolled XLA on a CPU computes anew what jax.checkpoint dropped, but
    too early.  Over several devices a loop: XLA for GPUs (jaxlib 0.11.2) crashes in its partitioner, as it compiles the
    gradient of a scan, unrolled or not, whose body communicates in a loop of its own under a causal mask.
    """

    def scanned(q: Array, k: Array, v: Array) -> Array:
        out: Array = jax.lax.scan(lambda x, _: (x + attention(x, k, v), None), q, None, layers)[0]
        return out

    def looped(q: Array, k: Array, v: Array) -> Array:
        for _ in range(layers):
            q = q + attention(q, k, v)
        return q

    return looped if sequence.devices() > 1 else scanned
