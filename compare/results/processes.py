"""Rows of several processes -> one row a case: the first process's, with what the others showed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from compare.results.rows import outcome_of
from compare.schema.records import Contender, Failure, Measurement, Notice, PassResult, Problem, Row, Skip, distinct

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
