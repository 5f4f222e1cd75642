"""Rules by which a reader of each protocol decides that two contenders differ: samples in, ratio and decision out.

Times are in seconds.  The ratio is the second contender over the first, by the statistic that the protocol shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import sqrt
from typing import Any, Literal

import numpy as np

from compare.schema.records import Record

Called = Literal["FASTER", "SLOWER", "NEITHER"]
Samples = Sequence[float]
Z = 1.96  # two-sided 95% of a normal distribution
FEW_CALLS = 50  # a common choice in benchmark scripts


class Reading(Record, frozen=True):
    """The second contender compared with the first."""

    ratio: float
    called: Called


Rule = Callable[[Samples, Samples], Reading]


def means(first: Samples, second: Samples) -> Reading:
    """Mean and standard deviation over calls: different if the means are over 1.96 standard errors apart (Welch)."""
    error = sqrt(sum(np.var(each, ddof=1) / len(each) for each in (first, second)))
    one, other = float(np.mean(first)), float(np.mean(second))
    return _reading(one, other, abs(other - one) > Z * error)


def means_of_few(first: Samples, second: Samples) -> Reading:
    """The same over the first 50 calls of each."""
    return means(first[:FEW_CALLS], second[:FEW_CALLS])


def quartiles(first: Samples, second: Samples) -> Reading:
    """Median and interquartile range, as torch.utils.benchmark prints them: different if the ranges do not overlap."""
    return _ranges(first, second, 0.25, 0.75)


def quantiles(first: Samples, second: Samples) -> Reading:
    """Median with the 20% and 80% quantiles, as Triton's tutorials plot them: different if they do not overlap."""
    return _ranges(first, second, 0.2, 0.8)


def figures(first: Samples, second: Samples) -> Reading:
    """Medians by ``Compare.trim_significant_figures`` of torch.utils.benchmark: different if the printed values differ.

    The library's own way to hide insignificant digits: a column shows as many as its least precise measurement has.
    (Its ``colorize`` marks any second one that is 1% slower.)
    """
    common = import_module("torch.utils.benchmark.utils.common")
    one, other = (_measurement(common, each) for each in (first, second))
    digits = min(one.significant_figures, other.significant_figures)
    shown = [common.trim_sigfig(each.median, digits) for each in (one, other)]
    return _reading(one.median, other.median, shown[0] != shown[1])


def _measurement(common: Any, seconds: Samples) -> Any:
    return common.Measurement(number_per_run=1, raw_times=list(seconds), task_spec=common.TaskSpec("run()", "pass"))


def _ranges(first: Samples, second: Samples, below: float, above: float) -> Reading:
    (low, one, high), (other_low, other, other_high) = (
        (float(each) for each in np.quantile(samples, (below, 0.5, above))) for samples in (first, second)
    )
    return _reading(one, other, other_low > high or other_high < low)


def _reading(one: float, other: float, different: bool) -> Reading:
    if not different or one == other:
        return Reading(ratio=other / one, called="NEITHER")
    return Reading(ratio=other / one, called="SLOWER" if other > one else "FASTER")
