"""Every output and gradient against the float64 oracle and against the other contenders, in a process of its own.

The rule (docs/method.md): the error of a row (one query's output or dQ, one key's dK or dV) is the norm of the
difference over the size of the row's terms (`compare.oracle.RowSizes`).  Its maximum and its root mean square over the
checked rows may be FACTOR times what a naive NumPy implementation in the case's own dtype and matmul precision shows on
the same inputs: 2 for the output and 3 for gradients, as in flash-attention's tests (Dao-AILab/flash-attention,
tests/test_flash_attn.py).  So the tolerance follows the problem, and a bf16 or TF32 result passed off as float32 is
orders of magnitude outside.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare import inputs, oracle
from compare.channel import Channel
from compare.contract import parse_mask
from compare.errors import NEIGHBOURS, NOT_FINITE, Worst, largest_nearby, rounding_error, row_errors
from compare.oracle import RowSizes
from compare.records import Agreement, Device, Problem, Record, TensorError
from compare.slices import Slice, drawn_slices, within

Array = NDArray[Any]
Found = dict[str, dict[str, Array]]

CHUNK_NUMBERS = 2**22  # that are compared at a time
# Two contenders may differ by both their allowances, and by as much again: one of them may be no better than allowed.
GAP_FACTOR = 4.0
FACTOR = {"out": 2.0, "dq": 3.0, "dk": 3.0, "dv": 3.0}


class Judge(Record, frozen=True, tag=True):
    """Judge the arrays that each contender left in its folder, within about ``budget_s`` of oracle time."""

    problem: Problem
    device: Device
    folders: dict[str, str]
    budget_s: float


class Judged(Record, frozen=True, tag=True):
    """The agreement of each contender, by folder name."""

    agreements: dict[str, Agreement]


UNSOUND = Worst()
UNSOUND.add(np.array([NOT_FINITE]))


class Comparison:
    """One problem: the truth and the yardstick of each drawn slice, and what each contender shows against them."""

    def __init__(self, problem: Problem, device: Device, tensors: inputs.Inputs, found: Found) -> None:
        """``found`` is what each contender computed on q, k, v and dO: its name -> ``pass.tensor`` -> array."""
        self.problem, self.device = problem, device
        self.q, self.k, self.v, self.do = tensors
        self.mask = parse_mask(problem.mask)
        self.arrays = {
            name: {key: array for key, array in files.items() if self._is_sound(key, array)}
            for name, files in found.items()
        }
        self.unsound = {name: sorted(files.keys() - self.arrays[name].keys()) for name, files in found.items()}
        self.yardstick = {tensor: Worst() for tensor in FACTOR}
        self.errors = {name: {_tensor_of(key): Worst() for key in files} for name, files in self.arrays.items()}
        self.gaps = {pair: {tensor: Worst() for tensor in FACTOR} for pair in combinations(self.arrays, 2)}
        self.checked = 0
        self.largest: RowSizes | None = None  # of each position, over the checked slices and their heads

    def _is_sound(self, key: str, array: Array) -> bool:
        """Whether a tensor has the shape of the one that it is a gradient of (out: dO), and is finite throughout."""
        shapes = {"out": self.do, "dq": self.q, "dk": self.k, "dv": self.v}
        return array.shape == shapes[key.split(".")[1]].shape and bool(np.isfinite(array).all())

    def check(self, part: Slice) -> None:
        """Compute the oracle on one slice and hold every contender against it."""
        tensors = (part.of("out", self.q), part.of("dk", self.k), part.of("dv", self.v), part.of("out", self.do))
        scale = self.problem.head_dim**-0.5
        layers = self.problem.layers
        truth, sizes = oracle.layers_with_gradients(*tensors, self.mask, scale, oracle.EXACT, layers)
        working = oracle.working(self.problem, self.device)
        rough, _ = oracle.layers_with_gradients(*tensors, self.mask, scale, working, layers)
        for tensor, worst in self.yardstick.items():
            difference = getattr(rough, tensor).astype(np.float64) - getattr(truth, tensor)
            worst.add(row_errors(difference, getattr(sizes, tensor)))
        for name, files in self.arrays.items():
            for key, array in files.items():
                tensor = key.split(".")[1]
                difference = part.of(tensor, array) - getattr(truth, tensor)
                self.errors[name][_tensor_of(key)].add(row_errors(difference, getattr(sizes, tensor)))
        self.cross(part, sizes)
        self.checked += 1
        largest = RowSizes(sizes.out.max(0), sizes.dq.max(0), sizes.dk, sizes.dv)
        self.largest = RowSizes(*map(np.maximum, self.largest, largest)) if self.largest else largest

    def cross(self, part: Slice, sizes: RowSizes) -> None:
        """Hold the contenders against each other on one slice."""
        for tensor, gaps, one, other in self._pairs():
            gaps.add(row_errors(part.of(tensor, one) - part.of(tensor, other), getattr(sizes, tensor)))

    def cross_everywhere(self) -> None:
        """Hold the contenders against each other on the whole tensors, on the largest size near a position."""
        if self.largest is None or self.checked == self.problem.batch * self.problem.kv_heads:
            return
        sizes = RowSizes(*map(largest_nearby, self.largest))
        for tensor, gaps, one, other in self._pairs():
            step = max(1, CHUNK_NUMBERS * len(one) // one.size)
            for start in range(0, len(one), step):
                part = slice(start, start + step)
                difference = np.asarray(one[part], np.float64) - other[part]
                gaps.add(row_errors(difference.swapaxes(1, 2), getattr(sizes, tensor)))

    def _pairs(self) -> Iterator[tuple[str, Worst, Array, Array]]:
        """Every tensor that two contenders have: its name, their gaps in it, and both arrays."""
        for (one, other), gaps in self.gaps.items():
            for key in self.arrays[one].keys() & self.arrays[other].keys():
                tensor = key.split(".")[1]
                yield tensor, gaps[tensor], self.arrays[one][key], self.arrays[other][key]

    def allowed(self, tensor: str) -> tuple[float, float]:
        """What the rule allows as maximum and as root mean square."""
        worst = self.yardstick[tensor]
        floor = rounding_error(self.problem)
        return FACTOR[tensor] * max(worst.max_error, 2 * floor), FACTOR[tensor] * max(worst.rms_error, floor)

    def verdict(self, name: str, slices: int) -> Agreement:
        """The agreement of one contender."""
        tensors = tuple(self._tensor(key, worst) for key, worst in sorted(self.errors[name].items()))
        tensors += tuple(self._tensor(key, UNSOUND) for key in self.unsound[name])
        gap = self._largest_gap(name)
        return Agreement(
            agrees=self._true(name) and not self._out_of_line(name),
            tensors=tensors,
            checked_slices=self.checked,
            slices=slices,
            other=gap[0] if gap else None,
            other_error=gap[1] if gap else None,
            other_allowed=gap[2] if gap else None,
        )

    def _true(self, name: str) -> bool:
        """Whether all tensors of a contender agree with the oracle, and there are any."""
        found = [self._tensor(key, worst) for key, worst in self.errors[name].items()]
        return bool(found) and not self.unsound[name] and all(each.agrees for each in found)

    def _out_of_line(self, name: str) -> bool:
        """Whether a contender differs somewhere in its tensors from most of those that agree with the oracle."""
        others = [other for other in self.arrays if other != name and self._true(other)]
        apart = [other for other in others if self._apart(name, other)]
        return 2 * len(apart) > len(others)

    def _apart(self, one: str, other: str) -> bool:
        gaps = self.gaps[(one, other) if (one, other) in self.gaps else (other, one)]
        return any(worst.max_error > GAP_FACTOR * self.allowed(tensor)[0] for tensor, worst in gaps.items())

    def _tensor(self, key: str, worst: Worst) -> TensorError:
        allowed_max, allowed_rms = self.allowed(key.split(".")[1])
        return TensorError(
            tensor=key,
            max_error=worst.max_error,
            rms_error=worst.rms_error,
            allowed_max=allowed_max,
            allowed_rms=allowed_rms,
            agrees=worst.max_error <= allowed_max and worst.rms_error <= allowed_rms,
        )

    def _largest_gap(self, name: str) -> tuple[str, float, float] | None:
        """The contender furthest from this one, by the share of the allowed gap that it uses."""
        found = [
            (b if name == a else a, worst.max_error, GAP_FACTOR * self.allowed(tensor)[0])
            for (a, b), gaps in self.gaps.items()
            if name in (a, b)
            for tensor, worst in gaps.items()
        ]
        return max(found, key=lambda gap: gap[1] / gap[2] if gap[2] else 0.0, default=None)


def _tensor_of(key: str) -> str:
    """``pass.tensor`` of the key ``pass.tensor.when``: first and last numbers are one verdict."""
    return ".".join(key.split(".")[:2])


def load(folder: Path) -> dict[str, Array]:
    """``pass.tensor.when`` -> array, mapped and not read: only the drawn slices are looked at."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def judge(request: Judge) -> Judged:
    """Check slices until all are done or the time is up; at least one."""
    found = {name: load(Path(folder)) for name, folder in request.folders.items()}
    comparison = Comparison(request.problem, request.device, inputs.draw(request.problem), found)
    slices = drawn_slices(request.problem)
    rows = min(request.problem.q_len * request.problem.heads // request.problem.kv_heads, request.problem.kv_len)
    for part in within(slices, request.budget_s, least=ceil(NEIGHBOURS / rows)):
        comparison.check(part)
    comparison.cross_everywhere()
    return Judged(agreements={name: comparison.verdict(name, len(slices)) for name in request.folders})


def main() -> None:
    """Entry of the judge's process: argv holds the channel's file descriptor; one request, one answer."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), Judge)
    channel.send(judge(channel.receive()))


if __name__ == "__main__":
    main()
