"""A short page of headed sections, on the terminal or as Markdown, from the same cells."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compare.analysis import text as fmt
from compare.analysis.sections import Section, holds_something
from compare.render.markdown_text import bullets, escape, section
from compare.render.markdown_text import table as markdown_table
from compare.render.terminal import bulleted

NAME_WIDTH = 20


def show(sections: Sequence[Section], console: Console) -> None:
    """Sections on the terminal; what has nothing to say is left out."""
    for each in filter(holds_something, sections):
        console.print(Padding(Text(each.title, style="bold"), (1, 0, 0, 0)))
        if each.said:
            console.print(Text(fmt.one_line(each.said)))
        if each.lines:
            console.print(_table(each))
        if each.points:
            console.print(Padding(bulleted(map(fmt.one_line, each.points)), (0, 0, 0, 1)))


def _table(part: Section) -> Table:
    """The table; its first column, a name, breaks where a name may, and within a word only if that is wider still."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for at, column in enumerate(part.columns):
        right = column.startswith(">")
        most = None if at else NAME_WIDTH
        shown.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold", max_width=most
        )
    for name, *cells in part.lines:
        shown.add_row(
            Text(fmt.broken(fmt.one_line(name), NAME_WIDTH)), *(Text(cell.replace(" [", "\n[")) for cell in cells)
        )
    return shown


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The same as a Markdown page."""
    parts = [section(escape(each.title), *_parts(each)) for each in filter(holds_something, sections)]
    return "\n\n".join([f"# {escape(title)}", *parts]) + "\n"


def _parts(each: Section) -> list[str]:
    """What stands below one heading."""
    lines = [[escape(cell) for cell in line] for line in each.lines]
    listed = bullets(map(escape, each.points))
    columns = [fmt.one_line(column) for column in each.columns]
    return [escape(each.said), markdown_table(columns, lines) if lines else "", listed]
