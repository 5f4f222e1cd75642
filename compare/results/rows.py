"""Rows: grouped by problem or contender, their outcomes, and those of several processes joined to one a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from compare.schema.records import (
    PASSES,
    Contender,
    Failure,
    Measurement,
    Notice,
    PassName,
    PassResult,
    Problem,
    Row,
    Skip,
    distinct,
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


FAILED = "process-failed"  # the notice that a case with numbers had none in a later process


def joined(rows: Iterable[Row]) -> list[Row]:
    """One row for each problem and contender, in order of first appearance, those of a problem as `rank` has them."""
    cases: dict[Problem, dict[Contender, list[Row]]] = {}
    for row in rows:
        cases.setdefault(row.problem, {}).setdefault(row.contender, []).append(row)
    return [row for found in cases.values() for row in sorted(map(_case, found.values()), key=rank)]


def rank(row: Row) -> int:
    """What a reader looks for stands first: rows with numbers, then failures, then what was skipped before the rest."""
    return (Measurement, Failure, Skip).index(type(row))


def _case(rows: Sequence[Row]) -> Row:
    first, *others = rows
    if not others or not isinstance(first, Measurement):
        return first
    reasons = {row.process: _why_apart(first, row) for row in others}
    measured = [row for row in others if isinstance(row, Measurement) and not reasons[row.process]]
    lost = [_lost(row, reason) for row in others if (reason := reasons[row.process])]
    warnings = distinct(notice for row in (first, *measured) for notice in row.warnings)
    disagreeing = [row.agreement for row in (first, *measured) if row.agreement and not row.agreement.agrees]
    return replace(
        first,
        passes={name: _pass([(row.process, row.passes[name]) for row in (first, *measured)]) for name in first.passes},
        stopped="budget" if any(row.stopped == "budget" for row in (first, *measured)) else first.stopped,
        agreement=disagreeing[0] if disagreeing else first.agreement,
        warnings=(*warnings, *lost),
    )


def _lost(row: Row, reason: str) -> Notice:
    """That a later process has no samples here."""
    code = "process-lost" if isinstance(row, Measurement) else FAILED
    return Notice(code=code, numbers={"process": row.process}, names=(reason,))


def _why_apart(first: Measurement, row: Row) -> str:
    """Why a later process's row cannot stand beside the first one's; empty where it can."""
    if not isinstance(row, Measurement):
        return f"{outcome_of(row)}: {row.reason}"
    if row.alone != first.alone:
        return f"{'measured alone' if row.alone else 'not measured alone'}, unlike in process {first.process}"
    return "its numbers were not verified" if row.agreement is None else ""


def _pass(found: Sequence[tuple[int, PassResult]]) -> PassResult:
    """The first process's samples with the others' beside them; of the peaks the highest."""
    highest = max((each for _, each in found), key=lambda each: each.peak_bytes)
    return replace(
        found[0][1],
        repeats=dict(found[1:]),
        peak_bytes=highest.peak_bytes,
        peak_source=highest.peak_source,
        memory_over_time=highest.memory_over_time,
    )
