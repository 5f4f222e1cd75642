"""Markdown's syntax: escaping, tables, lists.  Text from users and libraries goes through ``escape`` or ``code``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from compare.analysis.text import one_line

SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
LIST = re.compile(r"^(\d*)([-+.)])")  # at the beginning of a line, a list


def escape(text: str) -> str:
    """Text on one line without power over the page, in a table or out of it."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)


def code(text: str) -> str:
    """Text as code on one line; with a backtick or a pipe in it, which end a span or a cell, as escaped HTML."""
    return f"<code>{escape(text)}</code>" if "`" in text or "|" in text else f"`{one_line(text) or ' '}`"


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
