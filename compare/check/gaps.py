"""Contenders held against each other, and the last numbers of one against its first, beyond what the oracle checks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

from numpy.typing import NDArray

from compare.check.errors import Worst, gap_in, largest_nearby, pieces, row_errors, spread
from compare.check.yardstick import FACTOR
from compare.maths.oracle import RowSizes
from compare.maths.slices import Rows, Slice

Array = NDArray[Any]
FIRST, LAST = ".first", ".last"


class Gaps:
    """The row errors between any two contenders; between one and itself, of its last numbers from its first."""

    def __init__(self, arrays: dict[str, dict[str, Array]]) -> None:
        """``arrays``: contender -> ``pass.tensor.when`` -> array; last numbers stand only where they are others."""
        self._arrays = arrays
        pairs = combinations_with_replacement(arrays, 2)
        self._found = {pair: {tensor: Worst() for tensor in FACTOR} for pair in pairs}

    def between(self, one: str, other: str) -> dict[str, Worst]:
        """The gaps of two contenders, or of one, by tensor."""
        return self._found[(one, other) if (one, other) in self._found else (other, one)]

    def on(self, part: Slice, rows: Rows, sizes: RowSizes) -> None:
        """Take the checked rows of one slice in."""
        for tensor, gaps, one, other in self._pairs():
            at = rows.of(tensor)
            difference = part.of(tensor, one, at) - part.of(tensor, other, at)
            gaps.add(row_errors(difference, getattr(sizes, tensor)))

    def everywhere(self, rows: Rows, q_len: int, kv_len: int, largest: RowSizes) -> None:
        """Take the whole tensors in, on the largest known size near a position.

        Where only some rows were checked, the sizes of most gradients of keys are not known: those are held against
        the norms of the rows themselves.
        """
        known = {name: spread(getattr(largest, name), rows.queries, q_len) for name in ("out", "dq")}
        if len(rows.keys) == kv_len:
            known |= {"dk": largest.dk, "dv": largest.dv}
        sizes = {name: largest_nearby(each) for name, each in known.items()}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for tensor, gaps, one, other in self._pairs():
                errors_in = partial(gap_in, one, other, sizes.get(tensor))
                for errors in pool.map(errors_in, pieces(one.shape)):
                    gaps.add(errors)

    def _pairs(self) -> Iterator[tuple[str, Worst, Array, Array]]:
        """Every tensor that two contenders have: its name, their gaps in it, and both arrays."""
        for (one, other), gaps in self._found.items():
            keys = self._arrays[one].keys() | self._arrays[other].keys()
            for key in keys:
                a, b = self._at(one, key.replace(LAST, FIRST) if one == other else key), self._at(other, key)
                if a is not None and b is not None and a is not b:
                    tensor = key.split(".")[1]
                    yield tensor, gaps[tensor], a, b

    def _at(self, name: str, key: str) -> Array | None:
        """An array of a contender; its last numbers are its first ones where it wrote no others."""
        found = self._arrays[name]
        return found.get(key, found.get(key.replace(LAST, FIRST)))
