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
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compare import inputs, oracle
from compare.contract import parse_mask
from compare.messages import Channel
from compare.oracle import RowSizes
from compare.records import Agreement, Device, Dtype, Problem, Record, TensorError

Array = NDArray[Any]
Found = dict[str, dict[str, Array]]

FACTOR = {"out": 2.0, "dq": 3.0, "dk": 3.0, "dv": 3.0}
UNIT_ROUNDOFF: dict[Dtype, float] = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
# A row whose terms are this much smaller than the typical row's is compared on this share of the typical size: there
# float32 and float16 underflow.
SMALL_ROW = 1e-3
FEW_KEYS_ROUNDINGS = 16.0
NOT_FINITE = 1e30  # the error of a row that holds NaN or infinity, and of a tensor of the wrong shape


class Judge(Record, frozen=True, tag=True):
    """Judge the arrays that each contender left in its folder, within about ``budget_s`` of oracle time."""

    problem: Problem
    device: Device
    folders: dict[str, str]
    budget_s: float


class Judged(Record, frozen=True, tag=True):
    """The agreement of each contender, by folder name."""

    agreements: dict[str, Agreement]


class Slice(NamedTuple):
    """One (batch, key head): where its rows stand in the q-like and in the k-like arrays."""

    batch: int
    kv_head: int
    group: int

    def of(self, tensor: str, array: Array) -> Array:
        """The slice's rows: [G, T, H] of a q-like array, [S, H] of a k-like one, in float64."""
        if tensor in ("dk", "dv"):
            return np.asarray(array[self.batch, :, self.kv_head], np.float64)
        heads = slice(self.kv_head * self.group, (self.kv_head + 1) * self.group)
        return np.asarray(array[self.batch, :, heads], np.float64).swapaxes(0, 1)


def drawn_slices(problem: Problem) -> list[Slice]:
    """All slices of the problem, in an order drawn by its seed."""
    group = problem.heads // problem.kv_heads
    every = [Slice(b, k, group) for b in range(problem.batch) for k in range(problem.kv_heads)]
    order = np.random.default_rng([problem.seed, 1]).permutation(len(every))
    return [every[i] for i in order]


def row_errors(difference: Array, sizes: Array) -> Array:
    """Norm of each row's difference over the size of the row's terms, flat."""
    typical = float(np.sqrt(np.mean(np.square(sizes)))) if sizes.size else 0.0
    scale = np.maximum(sizes, max(SMALL_ROW * typical, np.finfo(np.float64).tiny))
    errors = np.linalg.norm(difference, axis=-1) / scale
    return np.minimum(np.where(np.isfinite(errors), errors, NOT_FINITE), NOT_FINITE).ravel()


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


WRONG_SHAPE = Worst()
WRONG_SHAPE.add(np.array([NOT_FINITE]))


class Comparison:
    """One problem: the truth and the yardstick of each drawn slice, and what each contender shows against them."""

    def __init__(self, problem: Problem, device: Device, tensors: inputs.Inputs, found: Found) -> None:
        """``found`` is what each contender computed on q, k, v and dO: its name -> ``pass.tensor`` -> array."""
        self.problem, self.device = problem, device
        self.q, self.k, self.v, self.do = tensors
        self.mask = parse_mask(problem.mask)
        self.arrays = {
            name: {key: array for key, array in files.items() if self._fits(key, array)}
            for name, files in found.items()
        }
        self.misshapen = {name: sorted(files.keys() - self.arrays[name].keys()) for name, files in found.items()}
        self.yardstick = {tensor: Worst() for tensor in FACTOR}
        self.errors = {name: {key: Worst() for key in files} for name, files in self.arrays.items()}
        self.gaps = {pair: {tensor: Worst() for tensor in FACTOR} for pair in combinations(self.arrays, 2)}
        self.checked = 0

    def _fits(self, key: str, array: Array) -> bool:
        """Whether a contender's tensor has the shape of the tensor that it is a gradient of (out has dO's)."""
        shapes = {"out": self.do, "dq": self.q, "dk": self.k, "dv": self.v}
        return array.shape == shapes[key.split(".")[1]].shape

    def check(self, part: Slice) -> None:
        """Compute the oracle on one slice and hold every contender against it."""
        tensors = (part.of("out", self.q), part.of("dk", self.k), part.of("dv", self.v), part.of("out", self.do))
        scale = self.problem.head_dim**-0.5
        truth, sizes = oracle.attention_with_gradients(*tensors, self.mask, scale, oracle.EXACT)
        working = oracle.working(self.problem, self.device)
        rough, _ = oracle.attention_with_gradients(*tensors, self.mask, scale, working)
        for tensor, worst in self.yardstick.items():
            difference = getattr(rough, tensor).astype(np.float64) - getattr(truth, tensor)
            worst.add(row_errors(difference, getattr(sizes, tensor)))
        for name, files in self.arrays.items():
            for key, array in files.items():
                tensor = key.split(".")[1]
                difference = part.of(tensor, array) - getattr(truth, tensor)
                self.errors[name][key].add(row_errors(difference, getattr(sizes, tensor)))
        self._cross(part, sizes)
        self.checked += 1

    def _cross(self, part: Slice, sizes: RowSizes) -> None:
        for (one, other), gaps in self.gaps.items():
            for key in self.arrays[one].keys() & self.arrays[other].keys():
                tensor = key.split(".")[1]
                difference = part.of(tensor, self.arrays[one][key]) - part.of(tensor, self.arrays[other][key])
                gaps[tensor].add(row_errors(difference, getattr(sizes, tensor)))

    def allowed(self, tensor: str) -> tuple[float, float]:
        """What the rule allows as maximum and as root mean square."""
        worst = self.yardstick[tensor]
        floor = rounding_error(self.problem)
        return FACTOR[tensor] * max(worst.max_error, 2 * floor), FACTOR[tensor] * max(worst.rms_error, floor)

    def verdict(self, name: str, slices: int) -> Agreement:
        """The agreement of one contender."""
        tensors = tuple(self._tensor(key, worst) for key, worst in sorted(self.errors[name].items()))
        tensors += tuple(self._tensor(key, WRONG_SHAPE) for key in self.misshapen[name])
        gap = self._largest_gap(name)
        fine = bool(tensors) and all(each.agrees for each in tensors)
        return Agreement(
            agrees=fine,
            tensors=tensors,
            checked_slices=self.checked,
            slices=slices,
            other=gap[0] if gap else None,
            other_error=gap[1] if gap else None,
            other_allowed=gap[2] if gap else None,
        )

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
        """The contender furthest from this one, by the share of the allowed gap (twice the rule) that it uses."""
        found = [
            (b if name == a else a, worst.max_error, 2 * self.allowed(tensor)[0])
            for (a, b), gaps in self.gaps.items()
            if name in (a, b)
            for tensor, worst in gaps.items()
        ]
        return max(found, key=lambda gap: gap[1] / gap[2] if gap[2] else 0.0, default=None)


def rounding_error(problem: Problem) -> float:
    """What any correct float32 implementation may be off by, relative to a row.

    A sum over the keys in any order: sqrt(S) u (Higham & Mary 2019, doi 10.1137/18M1226312); and where there are few
    keys, a dozen roundings in a row and an exponential that vector libraries compute to a few units in the last place.
    """
    keys = max(problem.kv_len, problem.q_len)
    return UNIT_ROUNDOFF["float32"] * max(FEW_KEYS_ROUNDINGS, float(np.sqrt(keys)))


def load(folder: Path) -> dict[str, Array]:
    """``pass.tensor`` -> array, mapped and not read: only the drawn slices are looked at."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def judge(request: Judge) -> Judged:
    """Check slices until all are done or the time is up; at least one."""
    found = {name: load(Path(folder)) for name, folder in request.folders.items()}
    comparison = Comparison(request.problem, request.device, inputs.draw(request.problem), found)
    slices = drawn_slices(request.problem)
    for part in within(slices, request.budget_s):
        comparison.check(part)
    return Judged(agreements={name: comparison.verdict(name, len(slices)) for name in request.folders})


def within(slices: list[Slice], budget_s: float) -> Iterator[Slice]:
    """The slices in order, as long as the next one should still end inside the budget; the first always."""
    start = perf_counter()
    for done, part in enumerate(slices):
        spent = perf_counter() - start
        if done and spent * (done + 1) / done > budget_s:
            return
        yield part


def main() -> None:
    """Entry of the judge's process: argv holds the channel's file descriptor; one request, one answer."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), Judge)
    channel.send(judge(channel.receive()))


if __name__ == "__main__":
    main()
