"""The options of the commands that read results: ``merge``, ``report``, ``select`` and ``diff``."""

from __future__ import annotations

import argparse
from pathlib import Path

from compare.choice.goals import GOALS
from compare.choice.regression import KINDS, Kind
from compare.commands.arguments import Parser
from compare.plan.presets import PRESETS
from compare.plan.values import FORMATS, PERCENT, formats, size

ANSWERS = ("terminal", "markdown")  # formats of an answer


def merge_parser() -> Parser:
    """``merge`` takes results and a place for the new ones."""
    parser = Parser(
        prog="compare merge",
        description="Join the results of several runs of one study, most often the shards of a sweep, in one file and "
        "one report.  Merging again, or what was merged before, changes nothing.",
        epilog="Runs of other settings, devices or versions are refused, with the difference.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", required=True, help="a new or empty folder")
    return parser


def report_parser() -> Parser:
    """``report`` takes results, formats and a place for its files."""
    parser = Parser(
        prog="compare report",
        description="Draw the reports anew from the results of one or several runs of one study.  Needs neither "
        "framework.  A line that is damaged is named and left out.",
        epilog="Without -o one format goes to the standard output.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files")
    parser.add_argument(
        "--format",
        type=formats,
        metavar="FORMAT,...",
        help=f"{','.join(FORMATS)} (default: terminal, with -o all)",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="where report.* go; those there are replaced")
    parser.add_argument("--explain", action="store_true", help="on the terminal the kernels of each pass too")
    return parser


def select_parser() -> Parser:
    """``select`` takes results, and says what they are to decide."""
    parser = Parser(
        prog="compare select",
        description="Which contender to take for a mix of shapes: by how much, how sure, at what cost, and where along "
        "the sequence the choice flips.  None is named where the intervals do not tell the first from the next.",
        epilog="Exit code 0 with an answer or an honest 'no winner', 2 for bad input.  docs/choosing.md is a tutorial.",
    )
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files; --max-seq-len's too"
    )
    mix = parser.add_mutually_exclusive_group()
    mix.add_argument("--weights", type=Path, metavar="FILE", help="TOML or JSON: how often a job calls each problem")
    mix.add_argument(
        "--preset",
        choices=PRESETS,
        metavar="NAME",
        help="the problems of one model's shape (default: every measured problem equally often)",
    )
    parser.add_argument(
        "--goal",
        choices=GOALS,
        default="training",
        help="what shall be short: forward time, time of a training step, or peak bytes (default: training)",
    )
    parser.add_argument(
        "--memory-limit",
        type=size,
        metavar="BYTES",
        help="leave out what takes more above its inputs; 40GB is 40 times 10^9",
    )
    parser.add_argument("--format", choices=ANSWERS, default="terminal", help="(default: terminal)")
    return parser


def diff_parser() -> Parser:
    """``diff`` takes two results, and says what of their difference is a failure."""
    parser = Parser(
        prog="compare diff",
        description="What changed from one run to another of the same study: times with intervals, memory, numbers, "
        "and cases that no longer run.  Versions of frameworks, driver and program may differ; anything else that "
        "changes results is refused, with the difference.",
        epilog="Exit code 0 where nothing got worse that --fail-on names, 1 where something did, 2 for bad input or "
        "results that cannot be held against each other.",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of a run, or its file")
    parser.add_argument("new", type=Path, metavar="NEW", help="the same of a later one")
    parser.add_argument(
        "--fail-on",
        type=kinds,
        default=kinds("slower,memory,disagreement,failing"),
        metavar="KIND,...",
        help=f"of {', '.join(KINDS)}, or none (default: all but missing)",
    )
    parser.add_argument(
        "--threshold",
        type=PERCENT,
        metavar="PERCENT",
        help="smaller changes are none, as processes of the same program differ too (default: 3 on a GPU, 5 on a CPU)",
    )
    parser.add_argument("--format", choices=ANSWERS, default="terminal", help="(default: terminal)")
    return parser


def kinds(text: str) -> set[Kind]:
    """Kinds of change for the worse, separated by commas."""
    words = [] if text == "none" else text.split(",")
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(KINDS)} or none, got {unknown[0][:60]!r}")
    return {kind for kind in KINDS if kind in words}
