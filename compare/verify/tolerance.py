"""Error tolerance of a row: the error of naive attention in NumPy, relative to the row's terms, times a factor."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.maths.oracle import RowSizes, Tensors
from compare.schema.records import Problem

Array = NDArray[Any]

FLOAT32_ROUNDOFF = 2.0**-24
# A row whose terms are this much smaller than the typical row's is compared on this share of the typical size: there
# float32 and float16 underflow.
SMALL_ROW = 1e-3
FEW_KEYS_ROUNDINGS = 16.0
NEIGHBOURS = 64
CHUNK_NUMBERS = 2**22  # that are compared at a time
NOT_FINITE = 1e30  # the error of a row that holds NaN or infinity, and of a tensor of the wrong shape


def row_errors(difference: Array, sizes: Array) -> Array:
    """Norm of each row's difference over the size of the row's terms, flat."""
    typical = float(np.sqrt(np.mean(np.square(sizes)))) if sizes.size else 0.0
    scale = np.maximum(sizes, max(SMALL_ROW * typical, np.finfo(np.float64).tiny))
    errors = np.linalg.norm(difference, axis=-1) / scale
    return np.minimum(np.where(np.isfinite(errors), errors, NOT_FINITE), NOT_FINITE).ravel()


def largest_nearby(sizes: Array) -> Array:
    """The largest size among the nearest 64 rows: a row of another slice may have that size.

    Where few terms make up a row (the first queries, the last keys) its size differs from slice to slice by far more
    than rounding does.
    """
    from scipy.ndimage import maximum_filter1d  # half a second to import, and most problems are small: without it

    widened: Array = maximum_filter1d(sizes, NEIGHBOURS, axis=-1, mode="nearest")
    return widened


def spread(sizes: Array, positions: Array, length: int) -> Array:
    """Sizes that are known at some positions, ascending, at all of them: the larger of the two nearest."""
    every = np.arange(length)
    after = np.minimum(np.searchsorted(positions, every), len(positions) - 1)
    before = np.maximum(np.searchsorted(positions, every, side="right") - 1, 0)
    return np.maximum(sizes[..., before], sizes[..., after])


def pieces(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice, slice]]:
    """[B, T, N, H] cut into pieces of about `CHUNK_NUMBERS`, each with all its positions."""
    batches = max(1, CHUNK_NUMBERS // max(1, prod(shape[1:])))
    heads = max(1, CHUNK_NUMBERS // max(1, shape[1] * shape[3]))
    for first in range(0, shape[0], batches):
        for head in range(0, shape[2], heads):
            yield slice(first, first + batches), slice(None), slice(head, head + heads)


def gap_in(one: Array, other: Array, sizes: Array | None, piece: tuple[slice, slice, slice]) -> Array:
    """The row errors between two contenders' arrays in a piece of them.

    Where the sizes of its rows are not known, on the root mean square of the norms of the nearest 64 rows: of random
    inputs that is nearly the same.
    """
    a, b = (np.asarray(each[piece], np.float64).swapaxes(1, 2) for each in (one, other))
    if sizes is None:
        from scipy.ndimage import uniform_filter1d

        squares = np.maximum(np.square(a).sum(-1), np.square(b).sum(-1))
        smooth = uniform_filter1d(squares, NEIGHBOURS, axis=-1, mode="nearest")  # a running sum: it may end below 0
        sizes = np.sqrt(np.maximum(smooth, 0.0))
    return row_errors(a - b, sizes)


class Worst:
    """Running maximum and root mean square of row errors."""

    def __init__(self) -> None:
        self.max_error, self._squares, self.rows = 0.0, 0.0, 0

    def add(self, errors: Array) -> None:
        """Add more rows."""
        if errors.size:
            self.max_error = max(self.max_error, float(errors.max()))
            self._squares += float(np.sum(errors**2))
            self.rows += errors.size

    @property
    def rms_error(self) -> float:
        """Root mean square over all rows so far."""
        return float(np.sqrt(self._squares / self.rows)) if self.rows else 0.0


def rounding_error(problem: Problem) -> float:
    """Error bound of any correct float32 implementation, relative to a row.

    A sum over the keys in any order: sqrt(S) u (Higham & Mary 2019, doi 10.1137/18M1226312); and where there are few
    keys, a dozen roundings in a row and an exponential that vector libraries compute to a few units in the last place.
    """
    keys = max(problem.kv_len, problem.q_len)
    return FLOAT32_ROUNDOFF * max(FEW_KEYS_ROUNDINGS, float(np.sqrt(keys)))


FACTOR = {"out": 2.0, "dq": 3.0, "dk": 3.0, "dv": 3.0}


class Tolerance:
    """Error tolerances, from the errors of naive attention in the working precision."""

    def __init__(self, problem: Problem) -> None:
        self._roundoff = rounding_error(problem)
        self._worst = {tensor: Worst() for tensor in FACTOR}

    def add(self, naive: Tensors, exact: Tensors, sizes: RowSizes) -> None:
        """Add the rows of one slice."""
        for tensor, worst in self._worst.items():
            difference: NDArray[Any] = getattr(naive, tensor).astype(np.float64) - getattr(exact, tensor)
            worst.add(row_errors(difference, getattr(sizes, tensor)))

    def allowed(self, tensor: str) -> tuple[float, float]:
        """Largest allowed maximum and root mean square; a tensor without rows has the largest of the others."""
        if not self._worst[tensor].rows and any(worst.rows for worst in self._worst.values()):
            others = [self.allowed(other) for other, worst in self._worst.items() if worst.rows]
            return max(most for most, _ in others), max(rms for _, rms in others)
        worst = self._worst[tensor]
        roundoff = self._roundoff
        return FACTOR[tensor] * max(worst.max_error, 2 * roundoff), FACTOR[tensor] * max(worst.rms_error, roundoff)
