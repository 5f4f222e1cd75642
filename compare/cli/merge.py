"""``merge``: the results of several runs of one study, in one file and one report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from compare.cli import options as run_options
from compare.cli import publishing
from compare.cli.arguments import Parser, add_results, exit_code
from compare.cli.run import create
from compare.machine.environment import printable
from compare.results import merging
from compare.results.rows import joined
from compare.results.store import RESULTS, Log


def add_arguments(parser: Parser) -> None:
    """Results, and a folder for the new ones."""
    parser.description = (
        "Joins the results of several runs of one study, such as the shards of a sweep, in one file and one report.  "
        "Merging again, or merging merged results, changes nothing."
    )
    parser.epilog = "Runs with other settings, devices or versions are refused, with the difference."
    add_results(parser)
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", required=True, help="a new or empty folder")


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """The exit code of a run that had measured all of it, or 2 where the results do not belong together."""
    with parser.refusing():
        run_options.check_out(options.out)
        files = merging.whole(options.results)
        joint, rows = merging.merged(files, printable(shlex.join(["python", "-m", "compare", *argv])))
    create(options.out, RESULTS)
    log = Log(options.out / RESULTS)
    log.append_run(joint)
    for row in rows:
        log.append(row)
    publishing.publish(joint, joined(rows), options.out, publishing.Screen())
    return exit_code(rows)
