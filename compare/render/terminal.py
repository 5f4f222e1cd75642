"""Sections on the terminal: readable at 80 columns, with more where there is room.

Colour repeats what a word already says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from msgspec.structs import replace
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compare.analysis import circumstances, sections, side_by_side, times
from compare.analysis import text as fmt
from compare.analysis.questions import questions
from compare.analysis.sections import unmarked
from compare.analysis.times import Extent
from compare.schema.records import Row, Run

SHOWN = Extent(150, 150)
WIDE = 155  # the columns that the wide layout needs; the narrow one needs 80
NAME_WIDTH, LEAST_NAME_WIDTH = 20, 12
STYLES = {
    "ok": "green",
    "WRONG": "bold red",
    **dict.fromkeys(("OOM", "CRASH", "TIMEOUT", "ERROR"), "bold red"),
    "skip": "yellow",
    "unknown": "dim",
    "FASTER": "green",
    "SLOWER": "red",
    "UNDECIDED": "dim",
}


def render(run: Run, rows: Sequence[Row], console: Console) -> None:
    """The settings, one table per problem, and what each question says in brief."""
    show(circumstances.opening(run, rows, times.left_out(rows, SHOWN)), console)
    rows = times.first(rows, SHOWN)
    show(side_by_side.sections(run, rows), console)
    for question in questions():
        print_briefs(question.sections(run, rows), console)


def print_briefs(found: Iterable[sections.Section], console: Console) -> None:
    """What each section says in brief, those without it left out."""
    for part in found:
        if part.brief:
            console.print(Padding(Text(part.title, style="bold"), (1, 0, 0, 0)))
            console.print(Padding(bulleted(map(unmarked, part.brief)), (0, 0, 0, 1)))


def bulleted(lines: Iterable[str]) -> Table:
    """Points, one below the other."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("•", Text(line))
    return table


def show(found: Iterable[sections.Section], console: Console, folded: bool = False) -> None:
    """Sections on the terminal; those that say nothing are left out, and folded tables unless ``folded``."""
    for part in (part for part in found if not part.empty):
        if part.title:
            console.print(Padding(Text(part.title, style="bold"), (1, 0, 0, 0)))
        for sentence in filter(None, part.sentences):
            console.print(Text(unmarked(sentence)))
        for table in drawn(
            [table for table in part.tables if table.rows and (folded or not table.folded)], console.width
        ):
            if table.title:
                console.print()
            console.print(table)
        if part.points:
            console.print(Padding(bulleted(map(unmarked, part.points)), (0, 0, 0, 1)))


def drawn(found: Sequence[sections.Table], width: int) -> Iterator[Table]:
    """Tables; those with the same columns line up."""
    shown = [reduced(table, width) for table in found]
    alike: dict[Sequence[sections.Column], list[sections.Table]] = {}
    for table in shown:
        alike.setdefault(table.columns, []).append(table)
    layouts = {columns: layout(tables, width) for columns, tables in alike.items()}
    for table in shown:
        yield laid_out(table, layouts[table.columns])


def reduced(found: sections.Table, width: int) -> sections.Table:
    """The table as it is written here, without the columns that a narrow terminal has no room for."""
    kept = [at for at, column in enumerate(found.columns) if column.detail == "always" or width >= WIDE]
    rows, before = [], ""
    for row in found.rows:
        name = "" if found.grouped and row[0] == before else row[0]
        cells = [cell.replace("`", "").replace(" [", "\n[") for cell in (name, *row[1:])]
        rows.append([cells[at] for at in kept])
        before = row[0]
    return replace(found, columns=tuple(found.columns[at] for at in kept), rows=rows)


class Layout(NamedTuple):
    """The least width of each column, the first one's greatest, the gap between two, and what stands before a ±."""

    least: Sequence[int | None]
    name_width: int
    gap: int
    before_arm: str


def layout(found: Sequence[sections.Table], width: int) -> Layout:
    """The most spacious layout for which there is room."""
    for gap, before_arm in ((2, " "), (1, " "), (1, "")):
        name, *others = widths(found, before_arm)
        room = width - sum(others) - gap * len(others)
        name_width = min(name, NAME_WIDTH)
        if name_width <= room:
            return Layout((name_width, *others), name_width, gap, before_arm)
    if room >= LEAST_NAME_WIDTH:
        return Layout((room, *others), room, gap, before_arm)
    return Layout([None] * (1 + len(others)), NAME_WIDTH, gap, before_arm)


def widths(found: Sequence[sections.Table], before_arm: str) -> list[int]:
    """How wide each column is in the widest of the tables."""
    heads = [heading(column) for column in found[0].columns]
    cells = zip(heads, *(row for table in found for row in table.rows), strict=True)
    return [
        max(cell_len(line) for cell in column for line in cell.replace(" ±", f"{before_arm}±").split("\n"))
        for column in cells
    ]


def heading(column: sections.Column) -> str:
    """The name over the unit."""
    return f"{column.name}\n{column.unit}" if column.unit else column.name


def laid_out(found: sections.Table, layout: Layout) -> Table:
    """The table; its first column, a name, breaks where a name may, and within a word only if that is wider still."""
    padding = (0, layout.gap - 1, 0, 0)
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=padding, pad_edge=False, header_style="dim")
    if found.title:
        shown.title, shown.title_justify, shown.title_style = unmarked(found.title), "left", "bold"
    for column, least in zip(found.columns, layout.least, strict=True):
        shown.add_column(heading(column), justify=column.align, overflow="fold", min_width=least)
    shown.columns[0].max_width = layout.name_width
    names = flowing([row[0] for row in found.rows], layout.name_width)
    for name, (_, *cells) in zip(names, found.rows, strict=True):
        short = [cell.replace(" ±", f"{layout.before_arm}±") for cell in cells]
        shown.add_row(Text(name), *(Text(cell, STYLES.get(cell, "")) for cell in short))
    return shown


def flowing(names: Sequence[str], width: int) -> Iterator[str]:
    """Names whose further lines stand in the empty cells below, where there are any."""
    lines: list[str] = []
    for name, below in zip_longest(names, names[1:], fillvalue="end"):
        if name:
            lines = [part for line in name.split("\n") for part in fmt.broken(fmt.one_line(line), width).split("\n")]
        here = len(lines) if below else 1
        yield "\n".join(lines[:here])
        lines = lines[here:]
