"""What a contender costs from import to a steady call, and after how many calls compiling breaks even."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number
from compare.results.rows import by_problem, measurements
from compare.schema.records import Contender, Cost, DeviceReport, Measurement, PassName, Problem, Row, Run
from compare.stats.estimates import Estimate, device_time, estimate, trusted, wall_time


class Startup(msgspec.Struct, frozen=True):
    """The startup cost of one pass, in seconds; ``dispatch_s``: wall time of a steady call less its device time.

    ``after`` is a contender of the same worker that compiled before, so that the compiler and its caches were warm.
    ``break_even``: calls after which compiling pays against ``against``, which compiles nothing; None: never.
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
    break_even: float | None


def startups(rows: Iterable[Row], backends: Sequence[DeviceReport]) -> list[Startup]:
    """The startup costs of the problems that were also compiled with warm caches."""
    reports = {report.backend: report for report in backends}
    groups = [measurements(found) for _, found in by_problem(rows)]
    return [
        startup(row, name, reports.get(row.contender.home), uncompiled(group), before(row, group))
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


def startup(
    row: Measurement, name: PassName, report: DeviceReport | None, eager: Measurement | None, after: Contender | None
) -> Startup:
    """The startup cost of one pass of one row."""
    cold = row.costs[name].compile_s > 0 and after is None
    rival = eager if cold and eager is not None and name in eager.passes else None
    steady = wall_time(row.passes[name])
    return Startup(
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
        break_even(row, rival, name) if rival else None,
    )


def break_even(row: Measurement, rival: Measurement, name: PassName) -> float | None:
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


ORDER = 90
COST_COLUMNS = (
    Column("Contender"),
    Column("Program"),
    number("Problems"),
    number("Trace"),
    number("Compile"),
    number("First call"),
    number("Warm-up"),
)
STARTUP_COLUMNS = (
    Column("Contender"),
    Column("Pass"),
    number("Import"),
    number("Device start"),
    number("Trace, lower"),
    number("Compile"),
    number("Compile, warm cache"),
    number("First call"),
    number("Dispatch"),
    number("Steady call"),
    number("Break-even"),
)
LAUNCH_COLUMNS = (
    Column("Problem"),
    Column("Contender"),
    Column("Pass"),
    number("Device", "ms"),
    number("One call", "ms"),
    number("In a stream", "ms"),
    number("CUDA graphs"),
)
COST_NOTE = f"Medians over problems. {fmt.NONE}: no such cost."
STARTUP_NOTES = (
    "Compile: with an empty compile cache. Where another contender of the same worker compiled earlier, the line names "
    "it. Compile, warm cache: everything was compiled once before. First call: without compiling. A worker's first "
    "call also starts the libraries.",
    "Backward covers the forward half of training and the backward. In JAX these are two programs, and the step is a "
    "third. PyTorch's step runs the same two and compiles nothing more.",
    "Dispatch: wall time of a steady call less its device time. Break-even: the calls after which tracing and "
    "compiling have paid off against an eager contender, by wall-clock time, so roughly. Never: eager calls are not "
    "slower. It is not given where the compiler was warm.",
)
LAUNCH_NOTES = (
    "One call: issued and awaited. In a stream: many calls issued in a row and awaited once, per call. A stream always "
    "runs with warm caches, and the device limits it. Streams are timed after all single calls, and contenders do not "
    "take turns.",
    "CUDA graphs: launched in one call. XLA's command buffers are CUDA graphs too. Without graphs, every kernel is "
    "launched by itself.",
)


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """Costs before the first sample, the startup cost of the first problem, and launches where streams were timed."""
    return [costs(rows), first_startup(startups(rows, run.backends)), launches(rows)]


def costs(rows: Sequence[Row]) -> Section:
    """What each program cost before its first sample."""
    medians = cost_medians(rows)
    table = Table(COST_COLUMNS, [cost_cells(cost) for cost in medians])
    return Section("Costs before the first sample", [COST_NOTE] if medians else [], [table])


def cost_cells(cost: CostMedians) -> list[str]:
    """One line of the table of costs."""
    seconds = (cost.trace_s, cost.compile_s, cost.first_call_s, cost.warmup_s)
    return [code(cost.contender.name), cost.program, str(cost.problems), *map(spent, seconds)]


def first_startup(found: Sequence[Startup]) -> Section:
    """From importing the framework to a steady call."""
    notes = [f"{found[0].problem.label}.", *STARTUP_NOTES] if found else []
    return Section("Startup cost", notes, [Table(STARTUP_COLUMNS, [startup_cells(cost) for cost in found])])


def startup_cells(found: Startup) -> list[str]:
    """One line of the table of startup costs."""
    cost, warm = found.cost, found.warm
    before = (found.import_s, found.start_s, cost.trace_s, cost.compile_s)
    calls = (cost.first_call_s, found.dispatch_s)
    again = spent(warm.compile_s) if warm else fmt.NONE
    steady = f"{fmt.duration(found.steady.median)} {fmt.interval(found.steady)}"
    name = code(found.contender.name) + (f", after {code(found.after.name)}" if found.after else "")
    return [name, found.pass_name, *map(spent, before), again, *map(spent, calls), steady, break_even_words(found)]


def break_even_words(found: Startup) -> str:
    """After how many calls compiling pays, and against which contender."""
    if found.against is None:
        return fmt.NONE
    rival = code(found.against.name)
    if found.break_even is None:
        return f"never: calls of {rival} are no slower"
    return f"{fmt.roughly(found.break_even)} calls, against {rival}"


def spent(time_s: float) -> str:
    """A duration, a dash for none."""
    return fmt.duration(time_s) if time_s else fmt.NONE


def launches(rows: Sequence[Row]) -> Section:
    """One call, a call in a stream of calls, and the device's share, where streams were timed."""
    lines = [cells for row in measurements(rows) for cells in launch_cells(row)]
    return Section("Launch cost", LAUNCH_NOTES if lines else [], [Table(LAUNCH_COLUMNS, lines)])


def launch_cells(row: Measurement) -> list[list[str]]:
    """The lines of one row, a pass each."""
    return [
        [
            row.problem.label,
            code(row.contender.name),
            name,
            fmt.time(device_time(row.passes[name])),
            fmt.time(wall_time(row.passes[name])),
            fmt.time(estimate(row.streams[name])),
            str(row.passes[name].graph_launches or fmt.NONE),
        ]
        for name in row.passes
        if name in row.streams
    ]
