"""How far each contender reaches, for the terminal and as a Markdown page; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from compare.analysis import text as fmt
from compare.analysis.longest import COLUMNS, NOTE, lines, title
from compare.measure.search import Reach
from compare.render.markdown_text import code, escape
from compare.render.markdown_text import table as markdown_table

NAME_WIDTH = 26


def terminal(found: Sequence[Reach]) -> Table:
    """The answers on one problem."""
    shown = Table(title=Text(title(found[0].problem), style="bold"), title_justify="left", box=None, padding=(0, 1))
    for column in COLUMNS:
        justify, wraps = "right" if column.startswith(">") else "left", column in ("contender", "what stopped it")
        shown.add_column(column.removeprefix(">"), justify=justify, no_wrap=not wraps, overflow="fold")  # type: ignore[arg-type]
    for name, *line in lines(found):
        shown.add_row(Text(fmt.broken(fmt.one_line(name), NAME_WIDTH)), *map(Text, line))
    return shown


def markdown(found: Sequence[Sequence[Reach]], facts: Sequence[str]) -> str:
    """The page: the circumstances, and a table for each problem."""
    parts = ["# How long a sequence fits", NOTE, "\n".join(f"- {escape(fact)}" for fact in facts)]
    for group in found:
        rows = [(code(line[0]), *line[1:4], escape(line[4])) for line in lines(group)]
        parts += [f"## {escape(title(group[0].problem))}", markdown_table(COLUMNS, rows)]
    return "\n\n".join(parts) + "\n"
