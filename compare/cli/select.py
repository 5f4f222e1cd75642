"""``select``: results, a workload and a goal -> a recommendation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from compare.analysis import mix, recommend
from compare.analysis.mix import Goal
from compare.analysis.recommend import Job, choices
from compare.analysis.sections import Section
from compare.cli.arguments import OK, Parser, add_answer_format, add_results
from compare.cli.publishing import answer
from compare.measure import search
from compare.plan.presets import PRESETS
from compare.plan.values import size
from compare.results import machines, merging
from compare.results import rows as processes
from compare.schema.records import Run

TITLE = "Recommendation"
UNUSED = merging.EFFORT | {"processes", "same_within", "cache", "seed"}  # no part of a search for the longest sequence


def add_arguments(parser: Parser) -> None:
    """Results, workload and goal."""
    parser.description = (
        "Recommends a contender for a workload: by how much it leads, how sure that is, what it costs, and at which "
        "sequence length the recommendation changes.  Recommends none where the intervals overlap."
    )
    parser.epilog = (
        "Exit code 0 with a recommendation or without a winner, 2 for bad input.  docs/choosing.md is a tutorial."
    )
    add_results(parser, "; those of --max-seq-len too")
    workload = parser.add_mutually_exclusive_group()
    workload.add_argument("--weights", type=Path, metavar="FILE", help="TOML or JSON: calls of each problem")
    workload.add_argument(
        "--preset",
        choices=PRESETS,
        metavar="NAME",
        help="the problems of one model's shape (default: all measured problems, one call each)",
    )
    parser.add_argument(
        "--goal",
        choices=mix.GOALS,
        default="training",
        help="minimize the forward time, the time of a training step, or peak memory (default: training)",
    )
    parser.add_argument(
        "--memory-limit",
        type=size,
        metavar="BYTES",
        help="leave out contenders that need more above their inputs; 40GB is 40 times 10^9",
    )
    add_answer_format(parser)


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """An answer, or 2 with one line where the results or the weights do not fit."""
    del argv
    with parser.refusing():
        calls = mix.read(options.weights) if options.weights else (mix.Calls(preset=options.preset),)
        sections = page(options.results, calls, options.goal, options.memory_limit)
    answer(TITLE, sections, options.format)
    return OK


def page(paths: Sequence[Path], calls: Sequence[mix.Calls], goal: Goal, limit_bytes: int | None) -> list[Section]:
    """The sections.  Raises ValueError where results cannot be read or do not belong together."""
    searches = {path: file for path in paths if (file := search_file(path))}
    measured = [path for path in paths if path not in searches]
    if not measured:
        raise ValueError(f"{paths[0]}: --max-seq-len results hold no times; add measured results")
    sections: list[Section] = []
    for run, parts in machines.parts(*merging.merged(merging.whole(measured), "", merging.EFFORT)):
        rows = processes.joined(parts)
        weights = mix.mixed((row.problem for row in rows), calls)
        found = choices(rows, Job(weights, goal, run.settings, limit_bytes))
        beside = measured[0], replace(run, nodes=())
        sections += recommend.sections(found, rows, run, reaches(list(searches.values()), beside))
    return sections


def search_file(path: Path) -> Path | None:
    """The file of a search for the longest sequence: the path itself, or what its folder holds."""
    file = path / search.RECORDS if path.is_dir() else path
    return file if file.name == search.RECORDS and file.is_file() else None


def reaches(files: Sequence[Path], beside: tuple[Path, Run]) -> list[search.Reach]:
    """The longest sequences, found on the same device with the same versions."""
    found = [(file, *search.read(file)) for file in files]
    for file, run, _ in found:
        merging.check_circumstances([beside, (file, run)], UNUSED)
    return [each for _, _, answers in found for each in answers]
