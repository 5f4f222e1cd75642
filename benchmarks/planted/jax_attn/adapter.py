"""JAX with extra batch rows; on a CPU, in pieces of two rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from benchmarks.planted import extra
from compare.schema.records import Device, Precision
from jax_attn import adapter

PIECE_ROWS = 2


class Adapter(adapter.Adapter):
    """Appends copies of the first batch rows, before anything is timed."""

    def __init__(self, device: Device, threads: int) -> None:
        """XLA:CPU generates other code for another batch size; a loop over pieces repeats the same code."""
        super().__init__(device, threads)
        self._splits_by_batch = device == "cpu"

    def programs(
        self, attention: Callable[..., Array], mode: str, inputs: adapter.Inputs, precision: Precision
    ) -> adapter.Programs:
        """The passes of a case, on the longer batch."""
        plain, percent = extra.split(mode)
        self._batch = len(inputs[0])
        more = extra.rows(self._batch, percent)
        q, k, v, do = (jnp.concatenate([each, each[:more]]) for each in inputs)
        called = in_pieces(attention) if self._splits_by_batch and extra.is_planted(mode) else attention
        return super().programs(called, plain, (q, k, v, do), precision)

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """The rows of the original batch."""
        return super().numpy(array)[: self._batch]


def in_pieces(attention: Callable[..., Array]) -> Callable[..., Array]:
    """The same attention in a loop over pieces.  The batch must be a multiple of the piece."""

    def called(q: Array, k: Array, v: Array) -> Array:
        pieces = tuple(each.reshape(-1, PIECE_ROWS, *each.shape[1:]) for each in (q, k, v))
        out = jax.lax.map(lambda piece: attention(*piece), pieces)
        return out.reshape(len(q), *out.shape[2:])

    return called
