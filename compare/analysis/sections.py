"""A short page of headed sections, on the terminal or as Markdown, from the same cells."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Section(msgspec.Struct, frozen=True):
    """A heading, what is said first, a table (a ``>`` before a column's name aligns it right), and points."""

    title: str
    said: str = ""
    columns: tuple[str, ...] = ()
    lines: Sequence[Sequence[str]] = ()
    points: Sequence[str] = ()


def holds_something(part: Section) -> bool:
    """Whether there is more than a heading."""
    return bool(part.said or part.lines or part.points)
