"""The report as one Markdown page, section after section in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

from compare.circumstances import Run
from compare.machines import Part
from compare.records import Row
from compare.report import legend, markdown_floor, markdown_scaling, markdown_solutions
from compare.report import markdown_costs as costs
from compare.report import markdown_memory as memory
from compare.report import markdown_reasons as reasons
from compare.report import markdown_sections as sections
from compare.report import markdown_tables as tables
from compare.report.markdown_text import escape
from compare.verdicts import compared


def book(parts: Sequence[Part], incomplete: str) -> str:
    """The page of each kind of machine, one after the other, and before them whether all kinds together lack cases."""
    pages = [render(run, rows) for run, rows in parts]
    if len(pages) == 1:
        return pages[0]
    heads = [f"**{escape(legend.kind_of_machine(run, at, len(pages)))}**" for at, (run, _) in enumerate(parts, 1)]
    together = f"{legend.ON_ALL_KINDS}: {incomplete}\n\n" if incomplete else ""
    return together + "\n---\n\n".join(f"{head}\n\n{page}" for head, page in zip(heads, pages, strict=True))


def render(run: Run, rows: Sequence[Row]) -> str:
    """The page; sections that have nothing to say say so or are left out."""
    parts = [
        sections.heading(run, rows),
        tables.side_by_side(rows, run.settings.same_within),
        sections.verdicts(compared(rows, run.settings.same_within), run.settings),
        markdown_solutions.solved(rows),
        markdown_scaling.shared(rows),
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
        sections.warnings(rows),
        sections.unmeasured(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
