"""What a contender costs from import to steady state, and after how many calls compiling pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from compare.results.rows import by_problem, measurements
from compare.schema.records import (
    Contender,
    Cost,
    DeviceReport,
    Measurement,
    PassName,
    Problem,
    Row,
)
from compare.stats.estimates import Estimate, device_time, trusted, wall_time


class Rungs(msgspec.Struct, frozen=True):
    """The ladder of one pass, in seconds; ``dispatch_s`` is what a steady call takes beside the device's work.

    ``after`` is a contender of the same worker that compiled before, so that the compiler and its caches were warm.
    ``pays_after`` calls the costs of the pass are made good against ``against``, which compiles nothing; None: never.
    """

    problem: Problem
    contender: Contender
    pass_name: PassName
    import_s: float
    start_s: float
    cost: Cost
    warm: Cost | None
    dispatch_s: float
    steady: Estimate
    after: Contender | None
    against: Contender | None
    pays_after: float | None


def ladders(rows: Iterable[Row], backends: Sequence[DeviceReport]) -> list[Rungs]:
    """The ladders of the problems whose costs were measured with warm caches too."""
    reports = {report.backend: report for report in backends}
    groups = [measurements(found) for _, found in by_problem(rows)]
    return [
        rungs(row, name, reports.get(row.contender.home), uncompiled(group), before(row, group))
        for group in groups
        if any(row.warm_costs for row in group)
        for row in group
        for name in row.passes
        if name in row.costs
    ]


def uncompiled(rows: Sequence[Measurement]) -> Measurement | None:
    """The first row that compiles nothing and whose numbers agree."""
    return next(
        (row for row in rows if trusted(row) and not compiles(row)),
        None,
    )


def before(row: Measurement, group: Sequence[Measurement]) -> Contender | None:
    """The first contender of the same backend that had compiled when this one began to."""
    earlier = [each for each in group[: group.index(row)] if each.contender.home == row.contender.home]
    return next((each.contender for each in earlier if compiles(each)), None) if compiles(row) else None


def compiles(row: Measurement) -> bool:
    """Whether anything was compiled for it."""
    return any(cost.trace_s + cost.compile_s for cost in row.costs.values())


def rungs(
    row: Measurement, name: PassName, report: DeviceReport | None, eager: Measurement | None, after: Contender | None
) -> Rungs:
    """The ladder of one pass of one row."""
    cold = row.costs[name].compile_s > 0 and after is None
    rival = eager if cold and eager is not None and name in eager.passes else None
    steady = wall_time(row.passes[name])
    return Rungs(
        row.problem,
        row.contender,
        name,
        report.import_s if report else 0.0,
        report.start_s if report else 0.0,
        row.costs[name],
        row.warm_costs.get(name),
        max(0.0, steady.median - device_time(row.passes[name]).median),
        steady,
        after,
        rival.contender if rival else None,
        pays_after(row, rival, name) if rival else None,
    )


def pays_after(row: Measurement, rival: Measurement, name: PassName) -> float | None:
    """Calls until the rival's slower calls have cost as much as tracing and compiling; None: they are not slower."""
    gain_s = wall_time(rival.passes[name]).median - wall_time(row.passes[name]).median
    cost = row.costs[name]
    return (cost.trace_s + cost.compile_s) / gain_s if gain_s > 0 else None


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
