"""How a reader of each protocol's numbers calls two contenders different: samples of both in, ratio and call out.

Times are seconds.  The ratio is the second contender over the first, by the figure that the protocol shows.
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
FEW_CALLS = 50  # of the seed's protocol


class Said(Record, frozen=True):
    """What a protocol says of the second contender beside the first."""

    ratio: float
    called: Called


Rule = Callable[[Samples, Samples], Said]


def means(first: Samples, second: Samples) -> Said:
    """Mean and standard deviation over calls: different when the means are over 1.96 standard errors apart (Welch)."""
    error = sqrt(sum(np.var(each, ddof=1) / len(each) for each in (first, second)))
    one, other = float(np.mean(first)), float(np.mean(second))
    return _said(one, other, abs(other - one) > Z * error)


def means_of_few(first: Samples, second: Samples) -> Said:
    """The same over the first 50 calls of each."""
    return means(first[:FEW_CALLS], second[:FEW_CALLS])


def quartiles(first: Samples, second: Samples) -> Said:
    """Median and interquartile range, as torch.utils.benchmark prints them: different where the ranges do not meet."""
    return _ranges(first, second, 0.25, 0.75)


def quantiles(first: Samples, second: Samples) -> Said:
    """Median with the 20% and 80% quantiles, as Triton's tutorials plot them: different when they do not overlap."""
    return _ranges(first, second, 0.2, 0.8)


def figures(first: Samples, second: Samples) -> Said:
    """Medians by ``Compare.trim_significant_figures`` of torch.utils.benchmark: different when the shown ones differ.

    It is what the library itself offers to hide digits that it does not regard as significant; a column shows as
    many as its least precise measurement has.  (Its ``colorize`` marks any second one that is 1% slower.)
    """
    common = import_module("torch.utils.benchmark.utils.common")
    one, other = (_measurement(common, each) for each in (first, second))
    digits = min(one.significant_figures, other.significant_figures)
    shown = [common.trim_sigfig(each.median, digits) for each in (one, other)]
    return _said(one.median, other.median, shown[0] != shown[1])


def _measurement(common: Any, seconds: Samples) -> Any:
    return common.Measurement(number_per_run=1, raw_times=list(seconds), task_spec=common.TaskSpec("run()", "pass"))


def _ranges(first: Samples, second: Samples, below: float, above: float) -> Said:
    (low, one, high), (other_low, other, other_high) = (
        (float(each) for each in np.quantile(samples, (below, 0.5, above))) for samples in (first, second)
    )
    return _said(one, other, other_low > high or other_high < low)


def _said(one: float, other: float, different: bool) -> Said:
    if not different or one == other:
        return Said(ratio=other / one, called="NEITHER")
    return Said(ratio=other / one, called="SLOWER" if other > one else "FASTER")
