"""Results as tables, on the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape as plain
from rich.table import Table

from compare.render.markdown_text import bullets, escape, section, table

OK, NOT, REPORTED = "ok", "NOT", "reported"


@dataclass
class Sheet:
    """A table: title, headings (``>`` aligns to the right), cells, and remarks below it."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of rows with the verdict NOT."""
        return sum(NOT in row for row in self.rows)

    def show(self, console: Console) -> None:
        """Print it."""
        shown = Table(title=self.title)
        for column in self.columns:
            shown.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
        for row in self.rows:
            shown.add_row(*map(plain, row))
        console.print(shown)
        for remark in self.remarks:
            console.print(plain(f"- {remark}"))

    def markdown(self) -> str:
        """The same as a section of a page."""
        rows = [[escape(cell) for cell in row] for row in self.rows]
        return section(self.title, table(self.columns, rows) if rows else "", bullets(map(escape, self.remarks)))


def verdict(ratio: float, within: float) -> str:
    """Whether a ratio is within a share of 1."""
    return OK if abs(ratio - 1) <= within else NOT


def page(sheets: Sequence[Sheet]) -> str:
    """All sheets as one Markdown page."""
    return "\n\n".join(["# Second opinions on device time", *(sheet.markdown() for sheet in sheets)]) + "\n"
