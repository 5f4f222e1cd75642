"""How far from the truth a right implementation may be: as far as a naive one in NumPy, times a factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.check.errors import Worst, rounding_error, row_errors
from compare.maths.oracle import RowSizes, Tensors
from compare.records import Problem

FACTOR = {"out": 2.0, "dq": 3.0, "dk": 3.0, "dv": 3.0}


class Yardstick:
    """The errors of one naive implementation, and what the rule allows on their account."""

    def __init__(self, problem: Problem) -> None:
        self._floor = rounding_error(problem)
        self._worst = {tensor: Worst() for tensor in FACTOR}

    def add(self, rough: Tensors, truth: Tensors, sizes: RowSizes) -> None:
        """Take the rows of one slice in."""
        for tensor, worst in self._worst.items():
            difference: NDArray[Any] = getattr(rough, tensor).astype(np.float64) - getattr(truth, tensor)
            worst.add(row_errors(difference, getattr(sizes, tensor)))

    def allowed(self, tensor: str) -> tuple[float, float]:
        """What the rule allows as maximum and as root mean square; of a tensor without rows, as of the laxest other."""
        if not self._worst[tensor].rows and any(worst.rows for worst in self._worst.values()):
            others = [self.allowed(other) for other, worst in self._worst.items() if worst.rows]
            return max(most for most, _ in others), max(rms for _, rms in others)
        worst = self._worst[tensor]
        floor = self._floor
        return FACTOR[tensor] * max(worst.max_error, 2 * floor), FACTOR[tensor] * max(worst.rms_error, floor)
