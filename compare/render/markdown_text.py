"""Markdown's syntax: escaping, tables, lists.  Text from users and libraries goes through ``escape`` or ``code``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from compare.analysis.sections import Section, Table
from compare.analysis.text import one_line

SPECIAL = re.compile(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))")  # an underscore within a word does nothing
LIST = re.compile(r"^(\d*)([-+.)])")  # at the beginning of a line, a list


def escape(text: str) -> str:
    """Text on one line without power over the page, in a table or out of it."""
    return _plain(one_line(text))


def _plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def code(text: str) -> str:
    """Text as code on one line; with a backtick or a pipe in it, which end a span or a cell, as escaped HTML."""
    return f"<code>{escape(text)}</code>" if "`" in text or "|" in text else f"`{one_line(text) or ' '}`"


def marked(text: str) -> str:
    """A text of an analysis: what stands between backticks as code, everything else escaped."""
    parts = one_line(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(code(part) if at % 2 else _plain(part) for at, part in enumerate(parts))


def page(title: str, sections: Sequence[Section]) -> str:
    """A page of sections; those that say nothing are left out."""
    return "\n\n".join([f"# {escape(title)}", *(drawn(part) for part in sections if not part.empty)]) + "\n"


def drawn(part: Section) -> str:
    """A heading of the second level, sentences, tables and points."""
    tables = [table_of(each) for each in part.tables if each.rows]
    return section(escape(part.title), *map(marked, part.sentences), *tables, bullets(map(marked, part.points)))


def table_of(found: Table) -> str:
    """A table below its title; a folded one opens on a click."""
    cells = [["<br>".join(map(marked, cell.split("\n"))) for cell in row] for row in found.rows]
    if found.grouped:
        before = ""
        for row in cells:
            before, row[0] = row[0], "" if row[0] == before else f"**{row[0]}**"
    heads = [marked(column.heading) for column in found.columns]
    rule = ["---:" if column.align == "right" else "---" for column in found.columns]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *cells])
    if found.folded:
        return f"<details>\n<summary>{escape(found.title)}</summary>\n\n{lines}\n\n</details>"
    return f"### {marked(found.title)}\n\n{lines}" if found.title else lines


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of ready cells; a column whose heading starts with ``>`` is aligned to the right."""
    heads = [column.removeprefix(">") for column in columns]
    rule = ["---:" if column.startswith(">") else "---" for column in columns]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *rows])


def bullets(lines: Iterable[str]) -> str:
    """A list of ready lines, none of which is a list of its own."""
    return "\n".join("- " + LIST.sub(r"\1\\\2", line) for line in lines)


def section(title: str, *parts: str) -> str:
    """A heading of the second level and its paragraphs, empty ones left out."""
    return "\n\n".join([f"## {title}", *(part for part in parts if part)])
