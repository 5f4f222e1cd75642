"""The section on several devices: speed-up, efficiency and memory against one device, and what travels."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import roofline, solutions
from compare.analysis import text as fmt
from compare.analysis.scaling import Scaled, scaled
from compare.machine import load
from compare.maths.traffic import sent_bytes
from compare.render.markdown_text import bullets, code, escape, section, table
from compare.schema.records import PASSES, PassName, Row, Run
from compare.stats.estimates import device_time

NOTE = (
    "Against one device of the same framework at the same problem (fused where that was measured, else the same "
    "variant), measured one after the other and not in turns. Time: of the slowest device. Speed-up: one device's time "
    "over theirs, and in brackets the share of what D devices could reach. Peak: of the fullest device. On a CPU the "
    "devices are simulated and share its cores: their times tell nothing of real ones."
)
BUSY = "busy machine"
BUSY_NOTE = (
    f" {BUSY}: other processes used more than {load.BUSY:.0%} of the CPUs while one of the two was sampled, so "
    "the figure may be theirs; end them and rerun."
)

COMMUNICATION = (
    "What a device sends and receives, in the iteration whose kernels are listed. Communicating: how long the busiest "
    "device sent, received or waited for others; hidden: how much of that while it computed. Sent: what each device "
    "sends in a pass, by its scheme. Least: a D-th of one device's time, or what sending takes over the link by "
    "itself, at the better of the backends' rates, whichever is longer, and its share of the time measured."
)


def shared(run: Run, rows: Sequence[Row]) -> str:
    """A line for each row of several devices that has a base, then one for each of their passes."""
    found = scaled(rows, run.links)
    if not found:
        return ""
    names = [name for name in PASSES if any(name in each.speed_up for each in found)]
    heads = ["Problem", "Contender", "Against", ">D", *(f">{name}" for name in names), ">peak"]
    passes = [
        "Problem",
        "Contender",
        ">D",
        "Pass",
        ">ms",
        ">communicating (ms)",
        ">hidden",
        ">sent (MB)",
        ">least (ms)",
    ]
    disturbed = any(ratio.busy for each in found for ratio in each.speed_up.values())
    return section(
        "Several devices",
        escape(NOTE + BUSY_NOTE * disturbed),
        table(heads, [line(each, names) for each in found]),
        bullets(escape(f"{link.backend}, {roofline.link_line(link)}.") for link in run.links),
        escape(COMMUNICATION),
        table(passes, [each_pass(each, name) for each in found for name in names if name in each.speed_up]),
    )


def line(each: Scaled, names: Sequence[PassName]) -> list[str]:
    """One row."""
    return [
        escape(each.base.problem.label),
        code(each.row.contender.name),
        code(each.base.contender.name),
        str(each.row.problem.devices),
        *(speed(each, name) for name in names),
        solutions.share(each.peak),
    ]


def each_pass(each: Scaled, name: PassName) -> list[str]:
    """What one pass of a row communicates, and its least time."""
    row, result = each.row, each.row.passes[name]
    time_s, least = device_time(result).median, each.least_s.get(name)
    sent_s = result.communication_s
    return [
        escape(each.base.problem.label),
        code(row.contender.name),
        str(row.problem.devices),
        name,
        fmt.ms(time_s),
        fmt.NONE if sent_s is None else fmt.ms(sent_s),
        fmt.percent(result.hidden_s / sent_s) if sent_s and result.hidden_s is not None else fmt.NONE,
        fmt.megabytes(sent_bytes(row.contender.variant, row.problem, name)),
        fmt.NONE if least is None else f"{fmt.ms(least)} ({fmt.percent(least / time_s)})",
    ]


def speed(each: Scaled, name: PassName) -> str:
    """Speed-up and efficiency of a pass, marked where the machine was busy."""
    if name not in each.speed_up:
        return fmt.NONE
    found = each.speed_up[name]
    return f"{fmt.ratio(found)} ({fmt.percent(each.efficiency[name].median)})" + f"<br>{BUSY}" * found.busy
