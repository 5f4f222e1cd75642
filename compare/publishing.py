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

FILES: dict[Format, str] = {"markdown": results.REPORT, "html": "report.html", "csv": "report.csv"}
NEEDS: dict[Format, tuple[str, ...]] = {"html": ("jinja2", "markdown_it")}
PICTURED: set[Format] = {"markdown", "html"}
AFTER_A_RUN: tuple[Format, ...] = ("markdown", "html")
INSTALL = "the extra plots brings it: pip install -e '.[plots]'"
NO_PICTURES = f"without pictures: matplotlib is not installed ({INSTALL})"


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
    """The files of a report; which they are, and what is missing because an extra is not installed."""
    drawn = pictures(run, rows) if PICTURED & set(formats) else []
    if "markdown" in formats:
        write_pictures(drawn, out / markdown_pictures.FOLDER)
    missing = {name: lacking(name) for name in FILES if name in formats}
    for name in missing:
        if not missing[name]:
            (out / FILES[name]).write_text(text(name, run, rows, drawn), encoding="utf-8", newline="")
    said = [missing[name] or str(out / FILES[name]) for name in missing]
    return said + [NO_PICTURES] * bool(PICTURED & set(formats) and not installed("matplotlib"))


def write_pictures(drawn: Sequence[Picture], folder: Path) -> None:
    """Each picture in both formats, in a folder that is made where there is one to write."""
    for each in drawn:
        folder.mkdir(exist_ok=True)
        (folder / f"{each.name}.png").write_bytes(each.png())
        (folder / f"{each.name}.svg").write_text(each.svg, encoding="utf-8")


def text(name: Format, run: Run, rows: Sequence[Row], drawn: Sequence[Picture] = ()) -> str:
    """A report in one format that is a file."""
    if name == "csv":
        return csv_table.render(run, rows)
    if name == "html":
        from compare.report import page

        return page.render(run, rows, [(each.name, each.title, each.caption, each.svg) for each in drawn])
    named = [(each.name, each.title, each.caption) for each in drawn]
    return markdown.render(run, rows, markdown_pictures.pictured(named))


def pictures(run: Run, rows: Sequence[Row]) -> list[Picture]:
    """All pictures; none where Matplotlib is not installed."""
    if not installed("matplotlib"):
        return []
    from compare.pictures import drawing

    return drawing.draw(run, extent.first(rows, markdown.MOST_ROWS))


def lacking(name: Format) -> str:
    """Why a format cannot be had here; empty where it can."""
    absent = [module for module in NEEDS.get(name, ()) if not installed(module)]
    return f"without {FILES[name]}: {' and '.join(absent)} is not installed ({INSTALL})" if absent else ""


def installed(module: str) -> bool:
    """Whether a module that is an extra can be imported."""
    return find_spec(module) is not None


def name_files(lines: Sequence[str], console: Console) -> None:
    """Where everything is."""
    console.print("\n" + "\n".join(lines), highlight=False, markup=False, soft_wrap=True)
