"""Rows -> time beside memory: which contenders nobody beats in both, as far as the intervals tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from compare.findings.analysis import measurements
from compare.findings.remedies import highest
from compare.findings.summary import Estimate, device_time, trusted
from compare.maths.prediction import score_bytes
from compare.records import PASSES, Contender, Measurement, PassName, Problem, Row

Sizes = tuple[object, ...]


class Placed(msgspec.Struct, frozen=True):
    """One row by its time and its highest peak; ``beaten`` where another is surely faster and needs no more."""

    row: Measurement
    time: Estimate
    peak_bytes: int
    beaten: bool


class Front(msgspec.Struct, frozen=True):
    """All rows of one size, whatever their dtype and mask, by one pass."""

    problem: Problem
    pass_name: PassName
    placed: tuple[Placed, ...]

    @property
    def contenders(self) -> list[Contender]:
        """Who stands there."""
        return list(dict.fromkeys(each.row.contender for each in self.placed))


def fronts(rows: Iterable[Row]) -> list[Front]:
    """A front for each size and function with at least two rows, the one with most scores first."""
    groups: dict[Sizes, list[Measurement]] = {}
    for row in filter(trusted, measurements(rows)):
        groups.setdefault(sizes(row.problem), []).append(row)
    found = [front(group) for group in groups.values() if len(group) > 1]
    return sorted(filter(None, found), key=lambda each: -each.problem.layers * score_bytes(each.problem))


def sizes(problem: Problem) -> Sizes:
    """All of a problem but its dtype and precision, which are ways of computing one function."""
    shape = (problem.batch, problem.q_len, problem.kv_len, problem.heads, problem.kv_heads, problem.head_dim)
    return (*shape, problem.mask, problem.layers, problem.layout, problem.devices, problem.seed)


def front(rows: Sequence[Measurement]) -> Front | None:
    """The rows by the longest pass that all of them have."""
    shared = [name for name in PASSES if all(name in row.passes for row in rows)]
    if not shared:
        return None
    name = shared[-1]
    points = [(row, device_time(row.passes[name]), peak(row)) for row in rows]
    placed = [
        Placed(row, time, size, any(surely(time, size, other, less) for _, other, less in points))
        for row, time, size in points
    ]
    return Front(rows[0].problem, name, tuple(placed))


def surely(time: Estimate, size: int, other: Estimate, less: int) -> bool:
    """Whether the other one's interval ends before this one's begins, and it needs no more memory."""
    return other.high < time.low and less <= size


def peak(row: Measurement) -> int:
    """The highest peak of the passes."""
    found = highest(row)
    return found.peak_bytes if found else 0
