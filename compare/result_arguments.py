"""The options of the commands that read results: ``select``."""

from __future__ import annotations

from pathlib import Path

from compare.arguments import Parser
from compare.goals import GOALS
from compare.presets import PRESETS
from compare.values import size

FORMATS = ("terminal", "markdown")


def select_parser() -> Parser:
    """``select`` takes results, and says what they are to decide."""
    parser = Parser(
        prog="compare select",
        description="Which contender to take for a mix of shapes: by how much, how sure, at what cost, and where along "
        "the sequence the choice flips.  None is named where the intervals do not tell the first from the next.",
        epilog="Exit code 0 with an answer or an honest 'no winner', 2 for bad input.  docs/choosing.md is a tutorial.",
        allow_abbrev=False,
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
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="(default: terminal)")
    return parser
