"""Rows grouped by problem or contender, and the outcome of a row."""

from __future__ import annotations

from collections.abc import Iterable

from compare.schema.records import (
    PASSES,
    Contender,
    Failure,
    Measurement,
    PassName,
    Problem,
    Row,
    Skip,
)


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


def status_of(row: Skip | Failure) -> str:
    """``skip``, or the status of the failure."""
    return row.status if isinstance(row, Failure) else "skip"


def outcome_of(row: Skip | Failure) -> str:
    """The status, a failure's with the stage in which it happened: ``OOM in backward``."""
    return f"{row.status} in {row.stage}" if isinstance(row, Failure) else status_of(row)
