"""Synthetic rows as each report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from msgspec.structs import replace
from rich.console import Console

from compare.analysis import side_by_side
from compare.render import markdown, terminal
from compare.schema.records import Contender, Row, Run
from tests import samples
from tests.samples import EAGER, measurement, problem

LONG = Contender(backend="torch", variant="checkpoint", mode="compile")
HOSTILE = "a|b\n`c` <script>alert(1)</script> [x](y) *z* \x1b[31mred"


def printed(rows: Sequence[Row], width: int, run: Run | None = None) -> str:
    """The terminal report as plain text."""
    console = Console(width=width, file=(out := StringIO()), force_terminal=False)
    terminal.render(run or samples.run(), rows, console)
    return out.getvalue()


def table_text(rows: Sequence[Row], width: int = 80, **settings: Any) -> str:
    """One problem's table as plain text."""
    console = Console(width=width, file=(out := StringIO()), force_terminal=False)
    run = replace(samples.run(), settings=replace(samples.run().settings, **settings))
    terminal.show([side_by_side.of_problem(run, rows)], console)
    return out.getvalue()


def page(rows: Sequence[Row]) -> str:
    """The Markdown report."""
    return markdown.render(samples.run(), rows)


def part(rows: Sequence[Row], title: str) -> str:
    """One section of the Markdown report, without its heading."""
    return page(rows).split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def pair(**other: Any) -> list[Row]:
    """A reference of 1 ms and a row of 0.81 ms."""
    return [measurement(problem()), measurement(problem(), EAGER, 0.81e-3, **other)]
