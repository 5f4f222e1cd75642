"""Every output and gradient compared with the float64 oracle, and with the other contenders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations_with_replacement
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from compare.maths import inputs, oracle
from compare.maths.oracle import Rows, RowSizes, Slice, Tensors, checked_rows
from compare.schema.records import Agreement, Device, Problem, TensorError
from compare.verify.tolerance import (
    FACTOR,
    NOT_FINITE,
    Tolerance,
    Worst,
    gap_in,
    largest_nearby,
    pieces,
    row_errors,
    spread,
)

Array = NDArray[Any]
FIRST, LAST = ".first", ".last"


class Gaps:
    """Row errors between any two contenders, and between the first and last numbers of each."""

    def __init__(self, arrays: dict[str, dict[str, Array]]) -> None:
        """``arrays``: contender -> ``pass.tensor.when`` -> array; last numbers only where they differ."""
        self._arrays = arrays
        pairs = combinations_with_replacement(arrays, 2)
        self._found = {pair: {tensor: Worst() for tensor in FACTOR} for pair in pairs}

    def between(self, one: str, other: str) -> dict[str, Worst]:
        """The gaps of two contenders, or of one, by tensor."""
        return self._found[(one, other) if (one, other) in self._found else (other, one)]

    def on(self, part: Slice, rows: Rows, sizes: RowSizes) -> None:
        """Add the gaps in the checked rows of one slice."""
        for tensor, gaps, one, other in self._pairs():
            at = rows.of(tensor)
            difference = part.of(tensor, one, at) - part.of(tensor, other, at)
            gaps.add(row_errors(difference, getattr(sizes, tensor)))

    def everywhere(self, rows: Rows, q_len: int, kv_len: int, largest: RowSizes) -> None:
        """Add the gaps in whole tensors, relative to the largest known size near a position.

        Where only some rows were checked, most sizes of dK and dV are unknown: their gaps are relative to the norms
        of the rows themselves.
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


Found = dict[str, dict[str, Array]]
Rowwise = TypeVar("Rowwise", Tensors, RowSizes)

# Two contenders may differ by both their tolerances, and by as much again.
GAP_FACTOR = 4.0


UNSOUND = Worst()
UNSOUND.add(np.array([NOT_FINITE]))


class Comparison:
    """One problem: every contender's errors from the oracle, and the tolerances."""

    def __init__(self, problem: Problem, device: Device, tensors: inputs.Inputs, found: Found) -> None:
        """``found``: contender -> ``pass.tensor.when`` -> array."""
        self.problem, self.device = problem, device
        self.q, self.k, self.v, self.do = tensors
        self.mask, self.rows = problem.scores.mask, checked_rows(problem)
        self.arrays = {
            name: {key: array for key, array in files.items() if self._is_sound(key, array)}
            for name, files in found.items()
        }
        self.unsound = {name: sorted(files.keys() - self.arrays[name].keys()) for name, files in found.items()}
        self.tolerance = Tolerance(problem)
        self.cut_tolerance = Tolerance(problem)  # of TF32 products that truncate their operands
        self.errors = {name: {_tensor_of(key): Worst() for key in files} for name, files in self.arrays.items()}
        self.from_cut = {name: {key: Worst() for key in files} for name, files in self.errors.items()}
        self.gaps = Gaps(self.arrays)
        self.checked = 0
        self.largest: RowSizes | None = None  # of each position, over the checked slices and their heads

    def _is_sound(self, key: str, array: Array) -> bool:
        """Whether a tensor has the shape of the one that it is a gradient of (out: dO), and is finite throughout."""
        shapes = {"out": self.do, "dq": self.q, "dk": self.k, "dv": self.v}
        return array.shape == shapes[key.split(".")[1]].shape and bool(np.isfinite(array).all())

    def check(self, part: Slice) -> None:
        """Compare every contender with the oracle on the checked rows of one slice."""
        queries, keys = self.rows
        q, do = part.of("out", self.q, queries), part.of("out", self.do, queries)
        tensors = (q, part.of("dk", self.k), part.of("dv", self.v), do)
        scale = self.problem.head_dim**-0.5
        layers = self.problem.layers
        exact, sizes = oracle.layers_with_gradients(*tensors, self.mask, scale, oracle.EXACT, layers, queries)
        exact, sizes = _known(exact, keys), _known(sizes, keys)
        naive, _ = oracle.layers_with_gradients(
            *tensors, self.mask, scale, oracle.working(self.problem, self.device), layers, queries
        )
        self.tolerance.add(_known(naive, keys), exact, sizes)
        self._add_errors(self.errors, part, exact, sizes)
        if cutting := oracle.cutting(self.problem, self.device):
            cut, _ = oracle.layers_with_gradients(*tensors, self.mask, scale, cutting, layers, queries)
            self.cut_tolerance.add(_known(cut, keys), exact, sizes)
            self._add_errors(self.from_cut, part, _known(cut, keys), sizes)
        self.gaps.on(part, self.rows, sizes)
        self.checked += 1
        largest = RowSizes(sizes.out.max(0), sizes.dq.max(0), sizes.dk, sizes.dv)
        self.largest = RowSizes(*map(np.maximum, self.largest, largest)) if self.largest else largest

    def _add_errors(self, errors: dict[str, dict[str, Worst]], part: Slice, expected: Tensors, sizes: RowSizes) -> None:
        """Add every contender's errors in a slice's rows."""
        for name, files in self.arrays.items():
            for key, array in files.items():
                tensor = key.split(".")[1]
                difference = part.of(tensor, array, self.rows.of(tensor)) - getattr(expected, tensor)
                errors[name][_tensor_of(key)].add(row_errors(difference, getattr(sizes, tensor)))

    def compare_everywhere(self) -> None:
        """Compare the contenders with each other on whole tensors, unless the oracle checked all rows."""
        whole = len(self.rows.queries) == self.problem.q_len
        if self.largest and not (whole and self.checked == self.problem.batch * self.problem.kv_heads):
            self.gaps.everywhere(self.rows, self.problem.q_len, self.problem.kv_len, self.largest)

    def verdict(self, name: str, slices: int) -> Agreement:
        """The agreement of one contender."""
        tolerance = self._tolerance_of(name)
        seen = {key: worst for key, worst in sorted(self.errors[name].items()) if worst.rows}
        tensors = tuple(_tensor_error(key, worst, tolerance) for key, worst in seen.items())
        tensors += tuple(_tensor_error(key, UNSOUND, tolerance) for key in self.unsound[name])
        gap = self._largest_gap(name)
        return Agreement(
            agrees=self._agrees(name) and not self._is_outlier(name),
            tensors=tensors,
            checked_slices=self.checked,
            slices=slices,
            other=gap[0] if gap else None,
            other_error=gap[1] if gap else None,
            other_allowed=gap[2] if gap else None,
            tf32_cut_off=tolerance is self.cut_tolerance,
        )

    def _tolerance_of(self, name: str) -> Tolerance:
        """The tolerance of truncated TF32 operands, for a contender that agrees with it alone; else the usual one.

        It accepts bfloat16 results too, so the contender must also be close to naive attention with such operands.
        """
        if oracle.cutting(self.problem, self.device) is None or _within(self.errors[name], self.tolerance):
            return self.tolerance
        near = _within(self.from_cut[name], self.tolerance) and _within(self.errors[name], self.cut_tolerance)
        return self.cut_tolerance if near else self.tolerance

    def _agrees(self, name: str) -> bool:
        """Whether a contender has tensors, and all agree with the oracle."""
        sound = bool(self.errors[name]) and not self.unsound[name]
        return sound and _within(self.errors[name], self._tolerance_of(name))

    def _is_outlier(self, name: str) -> bool:
        """Whether a contender differs from its own first numbers, or from most others that agree with the oracle."""
        others = [other for other in self.arrays if other != name and self._agrees(other)]
        differing = [other for other in others if self._differs(name, other)]
        return self._differs(name, name) or 2 * len(differing) > len(others)

    def _differs(self, one: str, other: str) -> bool:
        gaps = self.gaps.between(one, other)
        return any(worst.max_error > self._gap_allowed(one, other, tensor) for tensor, worst in gaps.items())

    def _gap_allowed(self, one: str, other: str, tensor: str) -> float:
        return GAP_FACTOR * max(self._tolerance_of(name).allowed(tensor)[0] for name in (one, other))

    def _largest_gap(self, name: str) -> tuple[str, float, float] | None:
        """The contender that differs most from this one, relative to the allowed gap: name, gap, allowed."""
        found = [
            (other, worst.max_error, self._gap_allowed(name, other, tensor))
            for other in self.arrays
            if other != name
            for tensor, worst in self.gaps.between(name, other).items()
        ]
        return max(found, key=lambda gap: gap[1] / gap[2] if gap[2] else 0.0, default=None)


def _tensor_of(key: str) -> str:
    """``pass.tensor`` of the key ``pass.tensor.when``: first and last numbers share a verdict."""
    return ".".join(key.split(".")[:2])


def _tensor_error(key: str, worst: Worst, tolerance: Tolerance) -> TensorError:
    allowed_max, allowed_rms = tolerance.allowed(key.split(".")[1])
    return TensorError(
        tensor=key,
        max_error=worst.max_error,
        rms_error=worst.rms_error,
        allowed_max=allowed_max,
        allowed_rms=allowed_rms,
        agrees=worst.max_error <= allowed_max and worst.rms_error <= allowed_rms,
    )


def _within(errors: dict[str, Worst], tolerance: Tolerance) -> bool:
    return all(_tensor_error(key, worst, tolerance).agrees for key, worst in errors.items())


def _known(found: Rowwise, keys: Array) -> Rowwise:
    """Only the gradients of the checked keys."""
    return found._replace(dk=found.dk[keys], dv=found.dv[keys])
