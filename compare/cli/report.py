"""``report``: all reports again from results files, on a machine that needs neither framework."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from compare.analysis.text import one_line, plural
from compare.cli import publishing
from compare.cli.arguments import OK, Parser, add_results
from compare.cli.publishing import FILES, Screen
from compare.machine.environment import printable
from compare.plan.values import FORMATS, Format, formats
from compare.results import machines, merging, store
from compare.results import rows as processes
from compare.schema.records import Row, Run

MOST_FAULTS = 10  # that are named one by one


class Wanted(NamedTuple):
    """The results that were read, and the formats to draw."""

    run: Run
    rows: list[Row]
    faults: list[str]
    formats: Sequence[Format]


def add_arguments(parser: Parser) -> None:
    """Results, formats, and a folder for the files."""
    parser.description = (
        "Draws the reports again from the results of one or several runs of one study.  Needs neither framework.  A "
        "damaged line is named and left out."
    )
    parser.epilog = "Without -o, one format goes to standard output."
    add_results(parser)
    parser.add_argument(
        "--format",
        type=formats,
        metavar="FORMAT,...",
        help=f"{','.join(FORMATS)} (default: terminal; with -o: all)",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder for report.*; existing ones are replaced")
    parser.add_argument("--explain", action="store_true", help="on the terminal also the kernels of each pass")


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """0 however many lines were left out, or 2 with one line where no report can be made."""
    with parser.refusing():
        drawn = wanted(options, argv)
    try:
        publish(drawn, options.out, options.explain)
    except OSError as error:
        if error.filename is None:  # of the standard output
            raise
        parser.error(f"-o {options.out}: cannot be written: {error.strerror}")
    return OK


def wanted(options: argparse.Namespace, given: Sequence[str]) -> Wanted:
    """All that was asked for.  Raises ValueError or OSError where there is nothing to read or nowhere to write."""
    wished = chosen(options.format, options.out)
    found = read(options.results, printable(shlex.join(["python", "-m", "compare", *given])))
    if options.out is None and wished[0] != "terminal":
        run, rows = machines.only_kind(found[0], found[1], "a report each: give a folder for them, -o DIR")
        found = run, rows, found[2]
    if options.out is not None:
        if options.out.exists() and not options.out.is_dir():
            raise ValueError(f"-o {options.out}: expected a folder, got a file")
        options.out.mkdir(parents=True, exist_ok=True)
    return Wanted(*found, wished)


def publish(drawn: Wanted, out: Path | None, explain: bool) -> None:
    """Name what was left out, show, write."""
    for line in named(drawn.faults):
        print(one_line(line), file=sys.stderr)
    if out is None and drawn.formats[0] != "terminal":
        [only] = drawn.formats
        pictures = publishing.pictures(drawn.run, drawn.rows) if only == "html" else []
        sys.stdout.buffer.write(publishing.text(only, drawn.run, drawn.rows, pictures).encode())
        return
    console = Screen()
    if "terminal" in drawn.formats:
        publishing.show(drawn.run, drawn.rows, console, explain)
    if out is not None:
        publishing.name_files(publishing.write(drawn.run, drawn.rows, out, drawn.formats), console)


def chosen(given: Sequence[Format] | None, out: Path | None) -> Sequence[Format]:
    """The formats: without a folder the terminal or one other, which goes to the standard output; with one all."""
    if given is None:
        return FORMATS if out else ("terminal",)
    if out is None and len(given) > 1:
        raise ValueError(f"--format {','.join(given)}: more than one format needs a folder for its files: -o DIR")
    if out and not set(given) & set(FILES):
        raise ValueError(f"-o {out}: --format {','.join(given)} writes no file; possible: {','.join(FILES)}")
    for reason in filter(None, map(publishing.lacking, given)):
        raise ValueError(f"--format {','.join(given)}: {reason}")
    return given


def read(paths: Sequence[Path], command: str) -> tuple[Run, list[Row], list[str]]:
    """The run record of all results together, a row for each case, and what is wrong with the files."""
    files = [(path, store.found(merging.results_file(path))) for path in paths]
    faults = [fault for _, each in files for fault in each.faults]
    if len(files) == 1:
        [(_, only)] = files
        return only.run, processes.joined(only.rows), faults
    run, rows = merging.merged([(path, each.run, each.rows) for path, each in files], command)
    return run, processes.joined(rows), faults


def named(faults: Sequence[str]) -> list[str]:
    """The lines that were left out, the first of many."""
    more = len(faults) - MOST_FAULTS
    shown = [f"left out: {fault}" for fault in faults[:MOST_FAULTS]]
    return shown + ([f"left out: {plural(more, 'more line')}"] if more > 0 else [])
