"""The Markdown sections on what a call costs beside the device's work, before the first sample and in each call."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import startup
from compare.analysis import text as fmt
from compare.analysis.startup import Rungs, ladders
from compare.render.markdown_text import code, escape, section, table
from compare.results.rows import measurements
from compare.schema.records import DeviceReport, Measurement, Row
from compare.stats.estimates import device_time, estimate, wall_time


def costs(rows: Sequence[Row]) -> str:
    """What each program cost before it ran at speed."""
    columns = ("Contender", "Program", ">Problems", ">Trace", ">Compile", ">First call", ">Warm-up")
    lines = [cost_line(cost) for cost in startup.cost_medians(rows)]
    note = "Medians over problems; – where there was nothing left to do."
    return section("Costs before the first sample", note, table(columns, lines)) if lines else ""


def cost_line(cost: startup.CostMedians) -> list[str]:
    """One line of the table of costs."""
    seconds = (cost.trace_s, cost.compile_s, cost.first_call_s, cost.warmup_s)
    return [code(cost.contender.name), escape(cost.program), str(cost.problems), *map(spent, seconds)]


def ladder(rows: Sequence[Row], backends: Sequence[DeviceReport]) -> str:
    """From importing the framework to a steady call, rung by rung."""
    found = ladders(rows, backends)
    if not found:
        return ""
    columns = (
        "Contender", "Pass", ">Import", ">Device start", ">Trace, lower", ">Compile", ">Compile, warm cache",
        ">First call", ">Dispatch", ">Steady call", ">Pays for itself after",
    )  # fmt: skip
    note = (
        f"{escape(found[0].problem.label)}. Compile: the compile cache was empty, but for what a contender of the same "
        "worker had compiled before, which the line names; warm: everything was compiled once before. First call: "
        "beside compiling; the first of a worker starts the libraries. Backward: the forward half of training and the "
        "backward, in JAX two programs; PyTorch's step runs the same two and compiles nothing more, JAX's is a program "
        "of its own. Dispatch: the wall time of a steady call less its device time. Pays for itself: calls until an "
        "eager contender's slower calls (by the wall, so roughly) have cost what tracing and compiling did; never "
        "where they are not slower, and not said where the compiler was warm."
    )
    return section("Cost ladder", note, table(columns, map(ladder_line, found)))


def ladder_line(rungs: Rungs) -> list[str]:
    """One line of the ladder."""
    cost, warm = rungs.cost, rungs.warm
    before = (rungs.import_s, rungs.start_s, cost.trace_s, cost.compile_s)
    calls = (cost.first_call_s, rungs.dispatch_s)
    steady = f"{fmt.duration(rungs.steady.median)} {fmt.interval(rungs.steady)}"
    again = spent(warm.compile_s) if warm else fmt.NONE
    name = code(rungs.contender.name) + (f", after {code(rungs.after.name)}" if rungs.after else "")
    return [name, rungs.pass_name, *map(spent, before), again, *map(spent, calls), steady, pays(rungs)]


def pays(rungs: Rungs) -> str:
    """After how many calls, against whom."""
    if rungs.against is None:
        return fmt.NONE
    rival = code(rungs.against.name)
    if rungs.pays_after is None:
        return f"never: calls of {rival} are no slower"
    return f"{fmt.roughly(rungs.pays_after)} calls, against {rival}"


def spent(time_s: float) -> str:
    """A duration, a dash for none."""
    return fmt.duration(time_s) if time_s else fmt.NONE


def launching(rows: Sequence[Row]) -> str:
    """One call, a call in a stream of calls, and the device's share, where streams were timed."""
    streamed = [row for row in measurements(rows) if row.streams]
    if not streamed:
        return ""
    columns = ("Problem", "Contender", "Pass", ">Device (ms)", ">One call (ms)", ">In a stream (ms)", ">CUDA graphs")
    note = (
        "One call: issued and awaited. In a stream: many calls issued one after the other and awaited once, per call. "
        "A stream can be no faster than the device with warm caches, which it always has; streams are timed after all "
        "single calls, without turns. CUDA graphs: launched in one call (XLA's command buffers are CUDA graphs too); "
        "where there are none, every kernel is launched by itself."
    )
    lines = [line for row in streamed for line in launch_lines(row)]
    return section("Launch cost", note, table(columns, lines))


def launch_lines(row: Measurement) -> list[list[str]]:
    """The lines of one row, a pass each."""
    return [
        [
            escape(row.problem.label),
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
