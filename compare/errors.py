"""Errors of rows, relative to the size of their terms, and what rounding alone may cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from compare.records import Problem

Array = NDArray[Any]

FLOAT32_ROUNDOFF = 2.0**-24
# A row whose terms are this much smaller than the typical row's is compared on this share of the typical size: there
# float32 and float16 underflow.
SMALL_ROW = 1e-3
FEW_KEYS_ROUNDINGS = 16.0
NEIGHBOURS = 64
NOT_FINITE = 1e30  # the error of a row that holds NaN or infinity, and of a tensor of the wrong shape


def row_errors(difference: Array, sizes: Array) -> Array:
    """Norm of each row's difference over the size of the row's terms, flat."""
    typical = float(np.sqrt(np.mean(np.square(sizes)))) if sizes.size else 0.0
    scale = np.maximum(sizes, max(SMALL_ROW * typical, np.finfo(np.float64).tiny))
    errors = np.linalg.norm(difference, axis=-1) / scale
    return np.minimum(np.where(np.isfinite(errors), errors, NOT_FINITE), NOT_FINITE).ravel()


def largest_nearby(sizes: Array) -> Array:
    """The largest size among the nearest 64 rows: what a row of another slice of the same problem may well have.

    Where few terms make up a row (the first queries, the last keys) its size differs from slice to slice by far more
    than rounding does.
    """
    widened: Array = maximum_filter1d(sizes, NEIGHBOURS, axis=-1, mode="nearest")
    return widened


class Worst:
    """Running maximum and root mean square of row errors."""

    def __init__(self) -> None:
        self.max_error, self._squares, self._rows = 0.0, 0.0, 0

    def add(self, errors: Array) -> None:
        """Take more rows in."""
        if errors.size:
            self.max_error = max(self.max_error, float(errors.max()))
            self._squares += float(np.sum(errors**2))
            self._rows += errors.size

    @property
    def rms_error(self) -> float:
        """Root mean square over all rows so far."""
        return float(np.sqrt(self._squares / self._rows)) if self._rows else 0.0


def rounding_error(problem: Problem) -> float:
    """What any correct float32 implementation may be off by, relative to a row.

    A sum over the keys in any order: sqrt(S) u (Higham & Mary 2019, doi 10.1137/18M1226312); and where there are few
    keys, a dozen roundings in a row and an exponential that vector libraries compute to a few units in the last place.
    """
    keys = max(problem.kv_len, problem.q_len)
    return FLOAT32_ROUNDOFF * max(FEW_KEYS_ROUNDINGS, float(np.sqrt(keys)))
