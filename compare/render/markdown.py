"""The report as one Markdown page, section after section in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import accuracy, detailed, memory, scaling, side_by_side, solutions, times
from compare.analysis.sections import Section
from compare.analysis.times import Extent, compared
from compare.render import markdown_costs as costs
from compare.render import markdown_floor, markdown_text
from compare.render import markdown_reasons as reasons
from compare.render import markdown_sections as sections
from compare.schema.records import Row, Run

SHOWN = Extent(1000, 300)


def render(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> str:
    """The page; sections that have nothing to say say so or are left out.  ``pictures`` and ``traces`` are such."""
    heading = sections.heading(run, rows, times.left_out(rows, SHOWN))
    return "\n\n".join([heading, *body(run, times.first(rows, SHOWN), pictures, traces)]) + "\n"


def body(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> list[str]:
    """All sections below the heading."""
    parts = [
        *drawn(side_by_side.sections(run, rows)),
        sections.verdicts(compared(rows, run.settings.same_within), run.settings),
        pictures,
        *drawn(solutions.sections(run, rows)),
        *drawn(scaling.sections(run, rows)),
        reasons.why(run, rows),
        *drawn(detailed.sections(run, rows)),
        *drawn(memory.sections(run, rows)),
        sections.performance(rows),
        markdown_floor.floors(run, rows),
        *drawn(accuracy.sections(run, rows)),
        sections.timed(rows, run.settings.same_within),
        sections.wall(rows),
        costs.costs(rows),
        costs.ladder(rows, run.backends),
        costs.launching(rows),
        traces,
        sections.warnings(rows),
        sections.unmeasured(rows),
    ]
    return [part for part in parts if part]


def drawn(found: Sequence[Section]) -> list[str]:
    """What an analysis says, without the sections that say nothing."""
    return [markdown_text.drawn(part) for part in found if not part.empty]
