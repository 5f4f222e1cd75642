"""The report as one Markdown page: the circumstances, then each question's sections in their order."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances, times
from compare.analysis.questions import questions
from compare.analysis.sections import Section
from compare.analysis.times import Extent
from compare.render import markdown_text
from compare.schema.records import Row, Run

SHOWN = Extent(1000, 300)
PICTURES, TRACES = 15, 95  # their places among the questions


def render(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> str:
    """The page.  ``pictures`` and ``traces`` are sections that are ready."""
    opening = drawn(circumstances.opening(run, rows, times.left_out(rows, SHOWN)))
    title = f"# {markdown_text.escape(circumstances.title(run))}"
    return "\n\n".join([title, *opening, *body(run, times.first(rows, SHOWN), pictures, traces)]) + "\n"


def body(run: Run, rows: Sequence[Row], pictures: str = "", traces: str = "") -> list[str]:
    """All sections below the opening."""
    placed = [(PICTURES, [pictures]), (TRACES, [traces])]
    placed += [(question.ORDER, drawn(question.sections(run, rows))) for question in questions()]
    return [part for _, parts in sorted(placed, key=lambda pair: pair[0]) for part in parts if part]


def drawn(found: Sequence[Section]) -> list[str]:
    """Sections as Markdown; those that say nothing are left out."""
    return [markdown_text.drawn(part) for part in found if not part.empty]
