"""The report as one Markdown page: the circumstances, each question's sections in their order, pictures and traces."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances, times
from compare.analysis.questions import questions
from compare.analysis.sections import Section
from compare.analysis.times import Extent
from compare.measure.traces import FOLDER, ITERATIONS, Filed
from compare.render import markdown_text
from compare.render.markdown_text import escape, section, table
from compare.schema.records import Row, Run

SHOWN = Extent(1000, 300)
PICTURES, TRACES = 15, 95  # their places among the questions
PICTURE_FOLDER = "pictures"
TRACES_NOTE = (
    f"What ran in one iteration of each pass: of {ITERATIONS} that followed the last sample the one nearest to their "
    "median. The contenders of a problem lie under each other, each pass from the start of its window: open the file "
    "in ui.perfetto.dev. The contenders' own profiles hold all of these iterations, as their framework wrote them: "
    f"PyTorch's opens there too, JAX's in XProf (xprof --logdir {FOLDER})."
)


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


def pictured(named: Sequence[tuple[str, str, str]]) -> str:
    """Each picture by its name, title and caption; nothing where there is none."""
    parts = [f"![{escape(title)}]({PICTURE_FOLDER}/{name}.svg)\n\n{escape(caption)}" for name, title, caption in named]
    return section("Pictures", *parts) if parts else ""


def traced(found: Sequence[Filed]) -> str:
    """Each problem with its files; nothing where there are none."""
    if not found:
        return ""
    lines = [
        [escape(each.problem.label), link("all", each.file), ", ".join(link(*own) for own in each.own.items())]
        for each in found
    ]
    return section("Traces", escape(TRACES_NOTE), table(("Problem", "All contenders", "Each one's own profile"), lines))


def link(label: str, path: str) -> str:
    """A file, whose path has no sign that means something in a link (``traces.safe``)."""
    return f"[{escape(label)}]({path})"
