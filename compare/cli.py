"""The program: argv -> plan -> run -> report, a line per stage."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from compare.arguments import doctor_parser, merge_parser
from compare.environment import printable
from compare.options import check_out, parse
from compare.processes import joined
from compare.records import Failure, Measurement, Row
from compare.results import RESULTS, Log

OK, DISAGREEMENT, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given and given[0] == "doctor":
        doctor_parser().parse_args(given[1:])
        return examine()
    if given and given[0] == "merge":
        return merge(given)
    options, plan = parse(given)
    from rich.console import Console  # after the options: `--help` answers in a blink

    from compare import listing, reach_study, study

    console = Console(emoji=False)  # or jax:ring: shows a ring
    if plan is None:
        return listing.show_choices(console)
    if options.dry_run:
        return listing.show_plan(plan, console)
    create(plan.out, reach_study.RECORDS if plan.max_seq_len else RESULTS)
    if plan.max_seq_len:
        return INTERRUPTED if reach_study.run(plan, plan.max_seq_len, console) else OK
    measured = study.measure(plan, console)
    study.publish(measured.run, measured.rows, plan.out, console, explain=options.explain)
    return INTERRUPTED if measured.interrupted else exit_code(measured.by_process)


def merge(given: Sequence[str]) -> int:
    """``merge``: as a run that had measured all of it, or 2 with one line where the results do not belong together."""
    parser = merge_parser()
    options = parser.parse_args(given[1:])
    from compare import merging

    try:
        check_out(options.out)
        run, rows = merging.merged(options.results, printable(shlex.join(["python", "-m", "compare", *given])))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    from rich.console import Console

    from compare import study

    create(options.out, RESULTS)
    log = Log(options.out / RESULTS)
    log.append_run(run)
    for row in rows:
        log.append(row)
    study.publish(run, joined(rows), options.out, Console(emoji=False))
    return exit_code(rows)


def examine() -> int:
    """``doctor``: 0 where all that applies to this machine passes."""
    from rich.console import Console

    from compare import doctor

    return OK if doctor.examine(Console(emoji=False)) else FAILED


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
