"""The Markdown section on why times differ: a sentence per comparison, the kernels of each problem folded away."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.kernels import Line, Reason, reasons, side_by_side
from compare.render.markdown_text import code, escape, section, table
from compare.results.rows import by_problem, measurements, passes_of
from compare.schema.records import Measurement, PassName, Problem, Row, Run


def why(run: Run, rows: Sequence[Row]) -> str:
    """The sentences, then the kernels."""
    found = reasons(rows, run.settings.same_within, circumstances.unit(run.settings.device))
    lines = [line(each) for each in found]
    sentences = table(("Problem", "Contender", "Pass", "Why its time differs"), lines) if lines else ""
    kernels = [kernels_of(problem, measurements(group)) for problem, group in by_problem(rows)]
    if not sentences and not any(kernels):
        return ""
    return section("Why", escape(circumstances.kernels_note()), sentences, *kernels)


def line(each: Reason) -> list[str]:
    """One line of the table of sentences."""
    what = each.compared
    return [escape(what.problem.label), code(what.contender.name), what.pass_name, escape(each.text)]


def kernels_of(problem: Problem, rows: Sequence[Measurement]) -> str:
    """What ran for one problem, contenders next to each other, to open on a click."""
    lines = [line for name in passes_of(rows) for line in kernel_lines(rows, name)]
    if not lines:
        return ""
    columns = ("Pass", "What", *(code(row.contender.name) for row in rows))
    return f"<details>\n<summary>{escape(problem.label)}</summary>\n\n{table(columns, lines)}\n\n</details>"


def kernel_lines(rows: Sequence[Measurement], name: PassName) -> list[list[str]]:
    """A line for each kind of kernel of a pass, which is named in the first only."""
    found = side_by_side(rows, name)
    return [
        [f"**{name}**" if at == 0 else "", kind, *("<br>".join(map(cell, lines)) or fmt.NONE for lines in columns)]
        for at, (kind, columns) in enumerate(found)
    ]


def cell(line: Line) -> str:
    """One kernel: name, runs, ms, share, and what else it is."""
    return f"{code(line.name)} {escape(circumstances.kernel_words(line))}"
