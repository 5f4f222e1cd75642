"""Rows of many problems -> what they say together: spread of times, the seed's columns, memory limits.

Pure functions: a report prints what stands here and computes nothing.  Disagreeing rows count for memory, never for
times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from compare.findings.summary import device_time, trusted
from compare.maths import prediction
from compare.records import PASSES, Contender, Failure, Measurement, PassName, Problem, Row, Skip


def by_problem(rows: Iterable[Row]) -> list[tuple[Problem, list[Row]]]:
    """The rows of each problem, problems and rows in order of first appearance."""
    groups: dict[Problem, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.problem, []).append(row)
    return list(groups.items())


def by_contender(rows: Iterable[Row]) -> list[tuple[Contender, list[Row]]]:
    """The rows of each contender, contenders and rows in order of first appearance."""
    groups: dict[Contender, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.contender, []).append(row)
    return list(groups.items())


def measurements(rows: Iterable[Row]) -> list[Measurement]:
    """The rows that hold numbers."""
    return [row for row in rows if isinstance(row, Measurement)]


def passes_of(rows: Iterable[Row]) -> tuple[PassName, ...]:
    """The passes that at least one row measured, in the order of PASSES."""
    return tuple(name for name in PASSES if any(name in row.passes for row in measurements(rows)))


def peak_bytes(row: Measurement, name: PassName) -> int | None:
    """Highest allocation during the pass above what was allocated before it, in bytes."""
    return row.passes[name].peak_bytes if name in row.passes else None


class Spread(msgspec.Struct, frozen=True):
    """Fastest, median and slowest of the device-time medians of one pass over the problems, in seconds.

    The median stands where the seed printed an average: over problems of unlike size an average is the largest one.
    """

    contender: Contender
    pass_name: PassName
    problems: int
    fastest_s: float
    median_s: float
    slowest_s: float
    fastest: Problem
    slowest: Problem


def spreads(rows: Iterable[Row]) -> list[Spread]:
    """The spread of each pass of each contender, over the rows whose numbers agree."""
    good = {contender: [r for r in measurements(group) if trusted(r)] for contender, group in by_contender(rows)}
    return [
        spread(contender, name, [row for row in group if name in row.passes])
        for contender, group in good.items()
        for name in passes_of(group)
    ]


def spread(contender: Contender, name: PassName, rows: Sequence[Measurement]) -> Spread:
    """The spread of one pass over at least one row of one contender."""
    times = [(device_time(row.passes[name]).median, row.problem) for row in rows]
    (low, fastest), (high, slowest) = min(times, key=lambda t: t[0]), max(times, key=lambda t: t[0])
    return Spread(contender, name, len(times), low, median(time for time, _ in times), high, fastest, slowest)


class SeedMemory(msgspec.Struct, frozen=True):
    """The seed table's memory columns in bytes: measured, and by the seed's formula."""

    forward: int | None
    backward: int | None
    matrix: int
    formula_forward: int
    formula_backward: int


def seed_memory(row: Row) -> SeedMemory:
    """Measured forward = inputs + forward peak; backward = inputs + output + dO + saved + backward peak."""
    forward, backward = measured_memory(row) if isinstance(row, Measurement) else (None, None)
    return SeedMemory(
        forward,
        backward,
        prediction.score_bytes(row.problem),
        prediction.seed_forward_bytes(row.problem),
        prediction.seed_backward_bytes(row.problem),
    )


def measured_memory(row: Measurement) -> tuple[int | None, int | None]:
    """Forward and Backward Memory in bytes, None where a part of the sum was not measured."""
    forward, backward = peak_bytes(row, "forward"), peak_bytes(row, "backward")
    held = None if row.saved_bytes is None else row.input_bytes + 2 * row.output_bytes + row.saved_bytes
    return (
        None if forward is None else row.input_bytes + forward,
        None if backward is None or held is None else held + backward,
    )


class Limit(msgspec.Struct, frozen=True):
    """The smallest problem that did not fit a contender, and the largest that did (by score matrix)."""

    contender: Contender
    row: Skip | Failure
    predicted_bytes: int | None
    refused_bytes: int | None
    device_bytes: int | None
    largest_fitting: Problem | None


def limits(rows: Iterable[Row]) -> list[Limit]:
    """The memory limit of each contender that ran out of memory or was skipped for want of it."""
    return [
        limit(contender, min(misfits, key=size_of), measurements(group))
        for contender, group in by_contender(rows)
        if (misfits := [row for row in group if not isinstance(row, Measurement) and is_misfit(row)])
    ]


def is_misfit(row: Skip | Failure) -> bool:
    """Whether memory was the reason: a failure says OOM, a skip for memory says what it would have needed."""
    return row.status == "OOM" if isinstance(row, Failure) else row.predicted_bytes is not None


def size_of(row: Row) -> int:
    """The order of problems by what a naive step needs, in bytes."""
    return prediction.needed_bytes(row.problem, ("step",))


def limit(contender: Contender, row: Skip | Failure, fitting: Sequence[Measurement]) -> Limit:
    """The limit at one row."""
    refused = row.refused_bytes if isinstance(row, Failure) else None
    device = row.device_bytes if isinstance(row, Failure) else row.available_bytes
    largest = max(fitting, key=size_of, default=None)
    return Limit(contender, row, row.predicted_bytes, refused, device, largest.problem if largest else None)
