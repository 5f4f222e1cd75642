"""Rows -> what a report lists at its end: worst errors, median costs, warnings, and the rows without numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from statistics import median

import msgspec

from compare.findings.analysis import by_contender, measurements
from compare.records import (
    PASSES,
    Agreement,
    Contender,
    Failure,
    Measurement,
    Notice,
    PassName,
    Problem,
    Row,
    Skip,
    TensorError,
)


class WorstError(msgspec.Struct, frozen=True):
    """The errors of one tensor that come nearest to (or go farthest past) what is allowed, over all problems."""

    contender: Contender
    tensor: str
    max_error: float
    allowed_max: float
    rms_error: float
    allowed_rms: float
    agrees: bool


def worst_errors(rows: Iterable[Row]) -> list[WorstError]:
    """One worst error per contender and tensor."""
    found: dict[tuple[Contender, str], list[TensorError]] = {}
    for row in measurements(rows):
        for error in row.agreement.tensors if row.agreement else ():
            found.setdefault((row.contender, error.tensor), []).append(error)
    return [worst_error(contender, tensor, errors) for (contender, tensor), errors in found.items()]


def worst_error(contender: Contender, tensor: str, errors: Sequence[TensorError]) -> WorstError:
    """The worst maximum and the worst root mean square, each beside its own allowance."""
    by_max = max(errors, key=lambda e: share(e.max_error, e.allowed_max))
    by_rms = max(errors, key=lambda e: share(e.rms_error, e.allowed_rms))
    return WorstError(
        contender,
        tensor,
        by_max.max_error,
        by_max.allowed_max,
        by_rms.rms_error,
        by_rms.allowed_rms,
        all(error.agrees for error in errors),
    )


def share(error: float, allowed: float) -> float:
    """The error as a share of what is allowed; a NaN is the worst of all."""
    if error == 0:
        return 0.0
    return error / allowed if allowed and error == error else float("inf")


def worst_of(row: Measurement, passes: Collection[PassName] = PASSES) -> TensorError | None:
    """The tensor of a row that comes nearest to its allowance, of these passes (``forward.out``, ``step.dq`` ...)."""
    others = set(PASSES) - set(passes)
    known = row.agreement.tensors if row.agreement else ()
    tensors = [each for each in known if each.tensor.partition(".")[0] not in others]
    return max(tensors, key=lambda e: share(e.max_error, e.allowed_max), default=None)


class Checked(msgspec.Struct, frozen=True):
    """How much of a contender's numbers was checked, and its worst gap to another contender."""

    contender: Contender
    problems: int
    disagreeing: int
    checked_slices: int
    slices: int
    other: str | None
    other_error: float | None
    other_allowed: float | None


def checked(rows: Iterable[Row]) -> list[Checked]:
    """One line per contender that has a verdict."""
    verdicts = {c: [r.agreement for r in measurements(group) if r.agreement] for c, group in by_contender(rows)}
    return [checked_one(contender, found) for contender, found in verdicts.items() if found]


def checked_one(contender: Contender, verdicts: Sequence[Agreement]) -> Checked:
    """The sum of the slices and the widest cross-framework gap of one contender."""
    gaps = [v for v in verdicts if v.other_error is not None]
    widest = max(gaps, key=lambda v: share(v.other_error or 0.0, v.other_allowed or 0.0), default=None)
    return Checked(
        contender,
        len(verdicts),
        sum(not verdict.agrees for verdict in verdicts),
        sum(verdict.checked_slices for verdict in verdicts),
        sum(verdict.slices for verdict in verdicts),
        widest.other if widest else None,
        widest.other_error if widest else None,
        widest.other_allowed if widest else None,
    )


class CostMedians(msgspec.Struct, frozen=True):
    """Medians over problems of what one program of a contender cost before it ran at speed, in seconds."""

    contender: Contender
    program: str
    problems: int
    trace_s: float
    compile_s: float
    first_call_s: float
    warmup_s: float


def cost_medians(rows: Iterable[Row]) -> list[CostMedians]:
    """One line per contender and program."""
    found = {(row.contender, program): None for row in measurements(rows) for program in row.costs}
    kept = measurements(rows)
    return [
        cost_median(contender, program, [r for r in kept if r.contender == contender and program in r.costs])
        for contender, program in found
    ]


def cost_median(contender: Contender, program: str, rows: Sequence[Measurement]) -> CostMedians:
    """The medians of one program over the rows of one contender."""
    costs = [row.costs[program] for row in rows]
    return CostMedians(
        contender,
        program,
        len(costs),
        median(cost.trace_s for cost in costs),
        median(cost.compile_s for cost in costs),
        median(cost.first_call_s for cost in costs),
        median(cost.warmup_s for cost in costs),
    )


class Noted(msgspec.Struct, frozen=True):
    """One warning text, and the rows in which it stands."""

    warning: Notice
    rows: tuple[Measurement, ...]


def warnings(rows: Iterable[Row]) -> list[Noted]:
    """The distinct warnings in order of first appearance."""
    found: dict[str, tuple[Notice, list[Measurement]]] = {}
    for row in measurements(rows):
        for warning in row.warnings:
            found.setdefault(warning.text, (warning, []))[1].append(row)
    return [Noted(warning, tuple(hits)) for warning, hits in found.values()]


class Unmeasured(msgspec.Struct, frozen=True):
    """Problems of one contender that gave no numbers for one and the same reason."""

    contender: Contender
    outcome: str
    reason: str
    problems: tuple[Problem, ...]


def unmeasured(rows: Iterable[Row]) -> list[Unmeasured]:
    """Skips and failures, those with one contender, outcome and reason gathered into one line."""
    found: dict[tuple[Contender, str, str], list[Problem]] = {}
    for row in rows:
        if not isinstance(row, Measurement):
            found.setdefault((row.contender, outcome_of(row), row.reason), []).append(row.problem)
    return [Unmeasured(*key, tuple(problems)) for key, problems in found.items()]


def status_of(row: Skip | Failure) -> str:
    """``skip``, or the status of the failure."""
    return row.status if isinstance(row, Failure) else "skip"


def outcome_of(row: Skip | Failure) -> str:
    """The status, a failure's with the stage in which it happened: ``OOM in backward``."""
    return f"{row.status} in {row.stage}" if isinstance(row, Failure) else status_of(row)
