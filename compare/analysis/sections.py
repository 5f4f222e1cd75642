"""What an analysis says: headings, sentences, tables and points, which every renderer draws alike.

A text may hold code between backticks (`code`); everything else in it is plain, and each renderer escapes it.  A line
break in a cell is a line break on the page.  One line in ``brief`` is what the terminal says of a section after a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from compare.analysis.text import one_line

Align = Literal["left", "right"]
Detail = Literal["always", "wide", "page", "file"]


class Column(msgspec.Struct, frozen=True):
    """A column of a table: its name, its unit if all cells share one, and how its cells are aligned.

    ``detail`` says where it is shown.  ``wide``: not on a narrow terminal.  ``page``: in HTML and CSV.  ``file``: in
    CSV only.
    """

    name: str
    unit: str = ""
    align: Align = "left"
    detail: Detail = "always"

    @property
    def heading(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Table(msgspec.Struct, frozen=True):
    """A table of ready cells.

    ``grouped``: rows with the same first cell belong together, which is then shown once.  ``folded``: it opens on a
    click where the page can do that, and the terminal leaves it out.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""
    grouped: bool = False
    folded: bool = False


class Section(msgspec.Struct, frozen=True):
    """A heading and what stands below it, in this order: sentences, tables, points."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    points: Sequence[str] = ()
    brief: Sequence[str] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no more than a heading."""
        return not (any(self.sentences) or self.points or any(table.rows for table in self.tables))


def number(name: str, unit: str = "") -> Column:
    """A column of numbers."""
    return Column(name, unit, "right")


def code(text: str) -> str:
    """A name as code, within a text."""
    return f"`{plain(text) or ' '}`"


def plain(text: str) -> str:
    """Text of a library or a user on one line, without marks of its own."""
    return one_line(text).replace("`", "'")


def unmarked(text: str) -> str:
    """A text of an analysis without its marks, on one line."""
    return one_line(text.replace("`", ""))
