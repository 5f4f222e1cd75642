"""``diff``: two results -> a page on what changed, and whether any of it is a failure."""

from __future__ import annotations

from pathlib import Path

from compare.analysis import diff
from compare.analysis.diff import Kind
from compare.analysis.sections import Section
from compare.results import machines, store
from compare.results.merging import results_file
from compare.stats.estimates import WIDENED_FROM


def page(old: Path, new: Path, threshold: float | None, fail_on: set[Kind]) -> tuple[list[Section], bool]:
    """The sections, and whether something got worse that shall not.

    Raises ValueError where results cannot be read or held against each other.
    """
    (old_run, old_rows), (new_run, new_rows) = (
        machines.only_kind(*store.read(results_file(path)), "a run of each by itself") for path in (old, new)
    )
    differing = diff.check((old, old_run), (new, new_run))
    usual = diff.THRESHOLDS[new_run.settings.device]
    most = threshold or usual
    found = diff.pairs(old_rows, new_rows, most)
    if not any(each.times or each.sizes or each.lost == "failing" for each in found):
        raise ValueError(f"{new} and {old} have no case in common that was measured")
    rates = diff.device_changes(old_run.rates, new_run.rates, most)
    few = min(run.settings.processes for run in (old_run, new_run)) < WIDENED_FROM
    bold = diff.bold(most, usual) if few and most < usual else ""
    failing = any(each.kinds & fail_on for each in found)
    return diff.sections(found, differing, rates, most, failing, bold), failing
