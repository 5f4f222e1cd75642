"""The program: argv -> plan -> run -> report, a line per stage."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compare.cli.arguments import Parser, doctor_parser
from compare.cli.options import check_out, parse
from compare.machine.environment import printable
from compare.results.processes import joined
from compare.results.store import RESULTS, Log
from compare.schema.records import Failure, Measurement, Row

if TYPE_CHECKING:
    from compare.analysis.sections import Section


OK, DISAGREEMENT, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
REGRESSION = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given and given[0] == "doctor":
        doctor_parser().parse_args(given[1:])
        return examine()
    if given and given[0] == "merge":
        return merge(given)
    if given and given[0] == "report":
        return report(given)
    if given and given[0] == "select":
        return select(given[1:])
    if given and given[0] == "diff":
        return diff(given[1:])
    options, plan = parse(given)
    from compare.cli import listing, max_seq_len, publishing, study
    from compare.cli.publishing import Screen  # after the options: `--help` answers in a blink
    from compare.measure import search

    console = Screen()
    if plan is None:
        return listing.show_choices(console)
    if options.dry_run:
        return listing.show_plan(plan, console)
    create(plan.out, search.RECORDS if plan.max_seq_len else RESULTS)
    if plan.max_seq_len:
        return INTERRUPTED if max_seq_len.run(plan, plan.max_seq_len, console) else OK
    measured = study.measure(plan, console)
    publishing.publish(measured.run, measured.rows, plan.out, console, explain=options.explain)
    return INTERRUPTED if measured.interrupted else exit_code(measured.by_process)


def merge(given: Sequence[str]) -> int:
    """``merge``: as a run that had measured all of it, or 2 with one line where the results do not belong together."""
    from compare.cli.arguments import merge_parser

    parser = merge_parser()
    options = parser.parse_args(given[1:])
    from compare.results import merging

    try:
        check_out(options.out)
        files = merging.whole(options.results)
        run, rows = merging.merged(files, printable(shlex.join(["python", "-m", "compare", *given])))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    from compare.cli import publishing
    from compare.cli.publishing import Screen

    create(options.out, RESULTS)
    log = Log(options.out / RESULTS)
    log.append_run(run)
    for row in rows:
        log.append(row)
    publishing.publish(run, joined(rows), options.out, Screen())
    return exit_code(rows)


def report(given: Sequence[str]) -> int:
    """``report``: 0 however many lines were left out, or 2 with one line where no report can be had."""
    from compare.cli.arguments import report_parser

    parser = report_parser()
    options = parser.parse_args(given[1:])
    from compare.analysis.text import one_line
    from compare.cli import report as redraw

    try:
        drawn = redraw.wanted(options, given)
    except (ValueError, OSError) as error:
        parser.error(one_line(str(error)))
    try:
        redraw.publish(drawn, options.out, options.explain)
    except OSError as error:
        if error.filename is None:  # of the standard output
            raise
        parser.error(one_line(f"-o {options.out}: cannot be written: {error.strerror}"))
    return OK


def select(given: Sequence[str]) -> int:
    """``select``: an answer, or 2 with one line where the results or the weights will not do."""
    from compare.analysis import mix
    from compare.cli import select as choosing
    from compare.cli.arguments import select_parser

    parser = select_parser()
    options = parser.parse_args(given)

    with refusing(parser):
        calls = mix.read(options.weights) if options.weights else (mix.Calls(preset=options.preset),)
        sections = choosing.page(options.results, calls, options.goal, options.memory_limit)
    show("Which to take", sections, options.format)
    return OK


def diff(given: Sequence[str]) -> int:
    """``diff``: 1 where something got worse that shall not, 2 with one line where the two cannot be compared."""
    from compare.cli import diff as diffing
    from compare.cli.arguments import diff_parser

    parser = diff_parser()
    options = parser.parse_args(given)

    with refusing(parser):
        threshold = options.threshold / 100 if options.threshold else None
        sections, failing = diffing.page(options.old, options.new, threshold, options.fail_on)
    show("What changed", sections, options.format)
    return REGRESSION if failing else OK


@contextmanager
def refusing(parser: Parser) -> Iterator[None]:
    """What cannot be read, or cannot be, ends with one line and code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        parser.error(str(error))


def show(title: str, sections: Sequence[Section], form: str) -> None:
    """A page on the terminal, or as Markdown on standard output."""
    from compare.cli.publishing import Screen
    from compare.render import markdown_text, terminal

    if form == "markdown":
        print(markdown_text.page(title, sections), end="")
    else:
        terminal.show(sections, Screen())


def examine() -> int:
    """``doctor``: 0 where all that applies to this machine passes."""
    from compare.cli import doctor
    from compare.cli.publishing import Screen

    return OK if doctor.examine(Screen()) else FAILED


def create(out: Path, claimed: str) -> None:
    """Make the results folder, or end with one line and code 2."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / claimed).touch(exist_ok=False)  # claims the folder, should two runs begin at once
    except OSError as error:
        print(f"compare: error: --out {out}: cannot be written: {error.strerror}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error


def exit_code(rows: Sequence[Row]) -> int:
    """0 everything measured or skipped (out of memory too), 1 a disagreement, 3 a failure or a row nobody judged."""
    if any(isinstance(row, Measurement) and row.agreement and not row.agreement.agrees for row in rows):
        return DISAGREEMENT
    failed = any(isinstance(row, Failure) and row.status != "OOM" for row in rows)
    unjudged = any(isinstance(row, Measurement) and row.agreement is None for row in rows)
    return FAILED if failed or unjudged else OK
