"""Why times differ, on the terminal: the kernels of each pass, contenders next to each other, and the sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.kernels import Line, Reason, reasons, side_by_side
from compare.render.terminal import print_list
from compare.results.rows import by_problem, measurements, passes_of
from compare.schema.records import Measurement, PassName, Row, Run

KIND_WIDTH = 11
LEAST_WIDTH = 20  # of a contender's column
GAP = 2


def render(run: Run, rows: Sequence[Row], console: Console) -> None:
    """Problem by problem: a table for each pass, then the sentences."""
    found = reasons(rows, run.settings.same_within, circumstances.unit(run.settings.device))
    console.print(Padding(Text("Why", style="bold"), (1, 0, 0, 0)))
    console.print(Text(circumstances.kernels_note(), style="italic"))
    for problem, group in by_problem(rows):
        measured = measurements(group)
        for name in passes_of(measured):
            for some in chunks(measured, console.width):
                console.print()
                console.print(pass_table(f"{problem.label}: {name}", some, name, console.width))
        print_list(problem.label, sentences([each for each in found if each.compared.problem == problem]), console)


def chunks(rows: Sequence[Measurement], width: int) -> list[Sequence[Measurement]]:
    """As many contenders next to each other as the terminal has room for."""
    most = max(1, (width - KIND_WIDTH) // (LEAST_WIDTH + GAP))
    return [rows[at : at + most] for at in range(0, len(rows), most)]


def pass_table(title: str, rows: Sequence[Measurement], name: PassName, width: int) -> Table:
    """What ran in one pass."""
    table = Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.title_justify, table.header_style = "left", "dim"
    size = (width - KIND_WIDTH - GAP * len(rows)) // len(rows)
    table.add_column("what", width=KIND_WIDTH, overflow="fold")
    for row in rows:
        table.add_column(Text(fmt.broken(fmt.one_line(row.contender.name), size)), width=size, overflow="fold")
    for kind, columns in side_by_side(rows, name):
        table.add_row(kind, *(cell(lines, size) for lines in columns))
    return table


def cell(lines: Sequence[Line], width: int) -> Text:
    """The kernels of one kind: each name over its runs, time and share."""
    if not lines:
        return Text(fmt.NONE)
    return Text("\n").join(
        Text.assemble(fmt.one_line(line.name), ("\n" + circumstances.kernel_words(line), "dim")) for line in lines
    )


def sentences(found: Sequence[Reason]) -> list[str]:
    """Each sentence once, behind all that it is about."""
    about: dict[str, list[str]] = {}
    for each in found:
        about.setdefault(each.text, []).append(f"{each.compared.pass_name}, {each.compared.contender.name}")
    return [f"{'; '.join(subjects)}: {text}" for text, subjects in about.items()]
