"""A finished or read study as reports: tables on the terminal, and files beside the results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from compare import extent, results
from compare.circumstances import Run
from compare.records import Row
from compare.report import csv_table, markdown, terminal, terminal_reasons
from compare.values import Format

FILES: dict[Format, str] = {"markdown": results.REPORT, "csv": "report.csv"}
AFTER_A_RUN: tuple[Format, ...] = ("markdown",)
RENDER = {"markdown": markdown.render, "csv": csv_table.render}


def publish(run: Run, rows: Sequence[Row], out: Path, console: Console, explain: bool = False) -> None:
    """After a run: the tables on the terminal, with ``explain`` also why times differ, and the files of a report."""
    written = write(run, rows, out, AFTER_A_RUN)
    show(run, rows, console, explain)
    name_files([out / results.RESULTS, *written], console)


def show(run: Run, rows: Sequence[Row], console: Console, explain: bool = False) -> None:
    """The tables on the terminal."""
    terminal.render(run, rows, console)
    if explain:
        terminal_reasons.render(run, extent.first(rows, terminal.MOST_ROWS), console)


def write(run: Run, rows: Sequence[Row], out: Path, formats: Collection[Format]) -> list[Path]:
    """One file for each format that is one; which files they are."""
    chosen = [name for name in FILES if name in formats]
    for name in chosen:
        (out / FILES[name]).write_text(RENDER[name](run, rows), encoding="utf-8", newline="")
    return [out / FILES[name] for name in chosen]


def name_files(paths: Sequence[Path], console: Console) -> None:
    """Where everything is."""
    console.print("\n" + "\n".join(map(str, paths)), highlight=False, markup=False, soft_wrap=True)
