"""A finished or read study as reports: tables on the terminal, and files beside the results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from compare import extent, results
from compare.circumstances import Run
from compare.records import Row
from compare.report import csv_table, markdown, markdown_pictures, terminal, terminal_reasons
from compare.values import Format

if TYPE_CHECKING:
    from compare.pictures.style import Picture

FILES: dict[Format, str] = {"markdown": results.REPORT, "csv": "report.csv"}
AFTER_A_RUN: tuple[Format, ...] = ("markdown",)
NO_PICTURES = "without pictures: matplotlib is not installed (the extra plots brings it: pip install -e '.[plots]')"


def publish(run: Run, rows: Sequence[Row], out: Path, console: Console, explain: bool = False) -> None:
    """After a run: the tables on the terminal, with ``explain`` also why times differ, and the files of a report."""
    show(run, rows, console, explain)
    written = write(run, rows, out, AFTER_A_RUN)
    name_files([str(out / results.RESULTS), *written], console)


def show(run: Run, rows: Sequence[Row], console: Console, explain: bool = False) -> None:
    """The tables on the terminal."""
    terminal.render(run, rows, console)
    if explain:
        terminal_reasons.render(run, extent.first(rows, terminal.MOST_ROWS), console)


def write(run: Run, rows: Sequence[Row], out: Path, formats: Collection[Format]) -> list[str]:
    """The files of a report; which they are, and what they lack."""
    drawn = pictures(run, rows) if set(formats) - {"csv", "terminal"} else []
    if "markdown" in formats and drawn:
        (out / markdown_pictures.FOLDER).mkdir(exist_ok=True)
        for each in drawn:
            (out / markdown_pictures.FOLDER / f"{each.name}.png").write_bytes(each.png)
            (out / markdown_pictures.FOLDER / f"{each.name}.svg").write_text(each.svg, encoding="utf-8")
    chosen = [name for name in FILES if name in formats]
    for name in chosen:
        (out / FILES[name]).write_text(text(name, run, rows, drawn), encoding="utf-8", newline="")
    lacking = [NO_PICTURES] if set(formats) - {"csv", "terminal"} and not installed("matplotlib") else []
    return [str(out / FILES[name]) for name in chosen] + lacking


def text(name: Format, run: Run, rows: Sequence[Row], drawn: Sequence[Picture] = ()) -> str:
    """A report in one format that is a file."""
    if name == "csv":
        return csv_table.render(run, rows)
    named = [(each.name, each.title, each.caption) for each in drawn]
    return markdown.render(run, rows, markdown_pictures.pictured(named))


def pictures(run: Run, rows: Sequence[Row]) -> list[Picture]:
    """All pictures; none where Matplotlib is not installed."""
    if not installed("matplotlib"):
        return []
    from compare.pictures import drawing

    return drawing.draw(run, extent.first(rows, markdown.MOST_ROWS))


def installed(module: str) -> bool:
    """Whether a module that is an extra can be imported."""
    return find_spec(module) is not None


def name_files(lines: Sequence[str], console: Console) -> None:
    """Where everything is."""
    console.print("\n" + "\n".join(lines), highlight=False, markup=False, soft_wrap=True)
