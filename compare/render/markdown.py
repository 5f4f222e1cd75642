"""The report as one Markdown page, section after section in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import times
from compare.analysis.times import Extent, compared
from compare.render import markdown_costs as costs
from compare.render import markdown_floor, markdown_scaling, markdown_solutions
from compare.render import markdown_memory as memory
from compare.render import markdown_reasons as reasons
from compare.render import markdown_sections as sections
from compare.render import markdown_tables as tables
from compare.schema.records import Row, Run

SHOWN = Extent(1000, 300)


def render(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> str:
    """The page; sections that have nothing to say say so or are left out.  ``pictures`` and ``traces`` are such."""
    heading = sections.heading(run, rows, times.left_out(rows, SHOWN))
    return "\n\n".join([heading, *body(run, times.first(rows, SHOWN), pictures, traces)]) + "\n"


def body(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> list[str]:
    """All sections below the heading."""
    parts = [
        tables.side_by_side(rows, run.settings.same_within),
        sections.verdicts(compared(rows, run.settings.same_within), run.settings),
        pictures,
        markdown_solutions.solved(rows),
        markdown_scaling.shared(run, rows),
        reasons.why(run, rows),
        tables.seed_tables(rows),
        memory.analysis(rows),
        sections.performance(rows),
        markdown_floor.floors(run, rows),
        memory.limits(rows),
        sections.agreement(rows),
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
