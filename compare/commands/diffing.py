"""``diff``: two results -> a page on what changed, and whether any of it is a failure."""

from __future__ import annotations

from pathlib import Path

from compare.choice import comparable, regression
from compare.choice.regression import Kind
from compare.files import machines, results
from compare.files.merging import results_file
from compare.findings.summary import WIDENED_FROM
from compare.report import regression_page
from compare.report.headed import Section


def page(old: Path, new: Path, threshold: float | None, fail_on: set[Kind]) -> tuple[list[Section], bool]:
    """The sections, and whether something got worse that shall not.

    Raises ValueError where results cannot be read or held against each other.
    """
    (old_run, old_rows), (new_run, new_rows) = (
        machines.only_kind(*results.read(results_file(path)), "a run of each by itself") for path in (old, new)
    )
    differing = comparable.check((old, old_run), (new, new_run))
    usual = regression.THRESHOLDS[new_run.settings.device]
    most = threshold or usual
    found = regression.pairs(old_rows, new_rows, most)
    if not any(each.times or each.sizes or each.lost == "failing" for each in found):
        raise ValueError(f"{new} and {old} have no case in common that was measured")
    rates = regression.device_changes(old_run.rates, new_run.rates, most)
    few = min(run.settings.processes for run in (old_run, new_run)) < WIDENED_FROM
    bold = regression_page.bold(most, usual) if few and most < usual else ""
    failing = any(each.kinds & fail_on for each in found)
    return regression_page.sections(found, differing, rates, most, failing, bold), failing
