"""The section on several devices: speed-up, efficiency and memory against one device, and what travels."""

from __future__ import annotations

from collections.abc import Sequence

from compare.records import PASSES, PassName, Row
from compare.report import format as fmt
from compare.report import solution_words
from compare.report.markdown_text import code, escape, section, table
from compare.scaling import Scaled, scaled
from compare.traffic import sent_bytes

NOTE = (
    "Against one device of the same framework at the same problem (fused where that was measured, else the same "
    "variant), measured one after the other and not in turns. Time: of the slowest device. Speed-up: one device's time "
    "over theirs, and in brackets the share of what D devices could reach. Peak: of the fullest device. Sent: what "
    "each device sends to others in a pass, by its scheme. On a CPU the devices are simulated and share its cores: "
    "their times tell nothing of real ones."
)


def shared(rows: Sequence[Row]) -> str:
    """A line for each row of several devices that has a base."""
    found = scaled(rows)
    if not found:
        return ""
    names = [name for name in PASSES if any(name in each.speed_up for each in found)]
    heads = ["Problem", "Contender", "Against", ">D", *(f">{name}" for name in names), ">peak", ">sent (MB)"]
    return section("Several devices", escape(NOTE), table(heads, [line(each, names) for each in found]))


def line(each: Scaled, names: Sequence[PassName]) -> list[str]:
    """One row."""
    sent = [sent_bytes(each.row.contender.variant, each.row.problem, name) for name in names]
    return [
        escape(each.base.problem.label),
        code(each.row.contender.name),
        code(each.base.contender.name),
        str(each.row.problem.devices),
        *(speed(each, name) for name in names),
        solution_words.share(each.peak),
        " / ".join(fmt.megabytes(size) for size in sent),
    ]


def speed(each: Scaled, name: PassName) -> str:
    """Speed-up and efficiency of a pass."""
    if name not in each.speed_up:
        return fmt.NONE
    return f"{fmt.ratio(each.speed_up[name])} ({fmt.percent(each.efficiency[name].median)})"
