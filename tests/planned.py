"""A command line as the program takes it: its options and its plan."""

from __future__ import annotations

from collections.abc import Sequence

from compare.cli import options as given
from compare.cli.run import build_parser
from compare.plan.cases import Plan


def parse(argv: Sequence[str]) -> tuple[object, Plan | None]:
    """The options, and the plan unless ``--list`` was given; ends with code 2 for bad input."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.list:
        return options, None
    with parser.refusing():
        return options, given.plan(options, argv)
