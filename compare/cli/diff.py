"""``diff``: two results -> what changed, and whether any of it is a regression that fails."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from compare.analysis import diff
from compare.analysis.diff import KINDS, Kind
from compare.analysis.sections import Section
from compare.cli.arguments import OK, REGRESSION, Parser, add_answer_format
from compare.cli.publishing import answer
from compare.plan.values import PERCENT
from compare.results import machines, store
from compare.results.merging import results_file
from compare.stats.estimates import WIDENED_FROM

TITLE = "What changed"


def add_arguments(parser: Parser) -> None:
    """Two results, and which changes are failures."""
    parser.description = (
        "Finds what changed from one run to another of the same study: times with intervals, memory, numbers, and "
        "cases that no longer run.  Versions of frameworks, driver and program may differ; other settings may not."
    )
    parser.epilog = (
        "Exit code 0 without a regression of a kind that --fail-on names, 1 with one, 2 for bad input or results that "
        "are not comparable."
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of a run, or its file")
    parser.add_argument("new", type=Path, metavar="NEW", help="the same of a later run")
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
        help="ignore smaller changes; processes of the same program differ too (default: 5; GPU: 3)",
    )
    add_answer_format(parser)


def kinds(text: str) -> set[Kind]:
    """Kinds of regression, separated by commas."""
    words = [] if text == "none" else text.split(",")
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(KINDS)} or none, got {unknown[0][:60]!r}")
    return {kind for kind in KINDS if kind in words}


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """1 with a regression of a kind that fails, 2 with one line where the two are not comparable."""
    del argv
    with parser.refusing():
        threshold = options.threshold / 100 if options.threshold else None
        sections, failing = page(options.old, options.new, threshold, options.fail_on)
    answer(TITLE, sections, options.format)
    return REGRESSION if failing else OK


def page(old: Path, new: Path, threshold: float | None, fail_on: set[Kind]) -> tuple[list[Section], bool]:
    """The sections, and whether there is a regression of a kind in ``fail_on``.

    Raises ValueError where results cannot be read or are not comparable.
    """
    (old_run, old_rows), (new_run, new_rows) = (
        machines.only_kind(*store.read(results_file(path)), "a run of each by itself") for path in (old, new)
    )
    differing = diff.check((old, old_run), (new, new_run))
    usual = diff.THRESHOLDS[new_run.settings.device]
    most = threshold or usual
    found = diff.pairs(old_rows, new_rows, most)
    if not any(each.times or each.sizes or each.lost == "failing" for each in found):
        raise ValueError(f"{new} and {old} share no measured case")
    rates = diff.device_changes(old_run.rates, new_run.rates, most)
    few = min(run.settings.processes for run in (old_run, new_run)) < WIDENED_FROM
    bold = diff.bold(most, usual) if few and most < usual else ""
    failing = any(each.kinds & fail_on for each in found)
    return diff.sections(found, differing, rates, most, failing, bold), failing
