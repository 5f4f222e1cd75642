"""Rows -> curves over the sequence length, one for each contender, with slopes; pictures draw them and compute nothing.

A family is what stands in one picture: problems that differ in sequence length and head size alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log

import msgspec
from msgspec.structs import replace

from compare.findings.analysis import measurements
from compare.findings.floor import Reached
from compare.findings.summary import Estimate, device_time, trusted
from compare.records import Contender, Measurement, PassName, Problem, Row

Value = tuple[Estimate, str]  # and who says so: of two ways of weighing no slope is formed
Quantity = Callable[[Measurement, PassName], Value | None]


class Family(msgspec.Struct, frozen=True):
    """Rows whose problems differ in sequence length and head size alone."""

    problem: Problem
    rows: tuple[Measurement, ...]

    @property
    def lengths(self) -> list[int]:
        """The sequence lengths, shortest first."""
        return sorted({row.problem.q_len for row in self.rows})

    @property
    def head_dims(self) -> list[int]:
        """The head sizes, smallest first."""
        return sorted({row.problem.head_dim for row in self.rows})


class Curve(msgspec.Struct, frozen=True):
    """One contender's points ``(seq_len, value)``; ``slope`` is the exponent between the two longest."""

    contender: Contender
    points: tuple[tuple[int, Estimate], ...]
    slope: float | None


def families(rows: Iterable[Row]) -> list[Family]:
    """The families of rows whose numbers agree and that have as many keys as queries, the one with most rows first."""
    groups: dict[Problem, list[Measurement]] = {}
    for row in filter(trusted, measurements(rows)):
        if row.problem.q_len == row.problem.kv_len:
            groups.setdefault(replace(row.problem, q_len=1, kv_len=1, head_dim=1), []).append(row)
    found = [Family(problem, tuple(group)) for problem, group in groups.items()]
    return sorted(found, key=lambda family: -len(family.rows))


def curves(rows: Iterable[Measurement], name: PassName, quantity: Quantity) -> list[Curve]:
    """A curve for each contender that has the quantity, of rows that differ in their length alone."""
    found: dict[Contender, list[tuple[int, Value]]] = {}
    for row in rows:
        value = quantity(row, name) if name in row.passes else None
        if value is not None:
            found.setdefault(row.contender, []).append((row.problem.q_len, value))
    return [curve(contender, sorted(points, key=lambda each: each[0])) for contender, points in found.items()]


def curve(contender: Contender, points: Sequence[tuple[int, Value]]) -> Curve:
    """One contender's, from its points in the order of their lengths."""
    return Curve(contender, tuple((length, value) for length, (value, _) in points), slope(points[-2:]))


def slope(points: Sequence[tuple[int, Value]]) -> float | None:
    """The exponent p of value ~ seq_len**p between two points; None of one, or of two that were weighed differently."""
    if len(points) < 2 or points[0][1][1] != points[1][1][1]:
        return None
    (short, (less, _)), (long, (more, _)) = points
    return (log(more.median) - log(less.median)) / (log(long) - log(short))


def time_s(row: Measurement, name: PassName) -> Value:
    """Device time."""
    return device_time(row.passes[name]), ""


def peak_bytes(row: Measurement, name: PassName) -> Value | None:
    """The peak, which is counted and has no interval; none at all has no place on a logarithmic axis."""
    result = row.passes[name]
    exactly = Estimate(result.peak_bytes, result.peak_bytes, result.peak_bytes, 1)
    return (exactly, result.peak_source) if result.peak_bytes else None


def floor_share(reached: Iterable[Reached]) -> Quantity:
    """The floor over device time: 1 is as fast as the count of the variant's bytes and FLOPs allows."""
    floors = {(id(each.row), each.pass_name): each.achieved.floor_s for each in reached if each.achieved}

    def share(row: Measurement, name: PassName) -> Value | None:
        time, floor_s = device_time(row.passes[name]), floors.get((id(row), name))
        if floor_s is None or not time.low:
            return None
        return Estimate(floor_s / time.median, floor_s / time.high, floor_s / time.low, time.rounds), ""

    return share
