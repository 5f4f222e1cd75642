"""The program: argv -> the command's options -> its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from compare.cli.arguments import Parser

MEASURE = "run"
COMMANDS = {
    MEASURE: "measure attention in both frameworks; runs where no command is named",
    "report": "draw the reports again from results",
    "merge": "join the results of several runs",
    "select": "recommend a contender for a workload",
    "diff": "find regressions between two runs",
    "doctor": "check this machine",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    name, rest = (given[0], given[1:]) if given and given[0] in COMMANDS else (MEASURE, given)
    program = Parser(prog="compare")
    commands = program.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command, summary in COMMANDS.items():
        commands.add_parser(command, help=summary, prog="compare" if command == MEASURE else f"compare {command}")
    parser: Parser = commands.choices[name]
    module = import_module(f"compare.cli.{name}")  # this one alone: `--help` answers in a blink
    module.add_arguments(parser)
    options, unknown = program.parse_known_args([name, *rest])
    parser.refuse_unknown(unknown)
    code: int = module.run(options, parser, given)
    return code
