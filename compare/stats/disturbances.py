"""What disturbed a case, by its own samples: drift, outliers, two levels, device over wall time.  Told, not dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from statistics import median
from typing import NamedTuple

from compare.schema.records import Notice, PassName, PassResult
from compare.stats.estimates import device_time, round_medians, wall_time

LEAST_ROUNDS = 12  # fewer say nothing about a trend or about two levels
ACCIDENT = 0.001  # a trend that chance makes this seldom is one (Kendall 1938, doi 10.1093/biomet/30.1-2.81)
DRIFT = 0.03  # and matters from this share on
FAR = 3.0  # interquartile ranges above the upper quartile: far out (Tukey, Exploratory Data Analysis, 1977)
MANY_OUTLIERS = 0.05  # of the samples, and at least three of them
LARGE_OUTLIER = 5.0
LEVEL_SHARE = 0.2  # of the rounds, at least, on either level
LEVEL_GAP = 4.0  # robust standard deviations of the rounds around their own level


class Outliers(NamedTuple):
    """Samples that are far out, and the slowest of all as a multiple of the median."""

    far: int
    samples: int
    worst: float


class Levels(NamedTuple):
    """Two levels between which no round lies, and the share of the rounds on the upper one."""

    lower_s: float
    upper_s: float
    upper_share: float


def notices(passes: Mapping[PassName, PassResult]) -> tuple[Notice, ...]:
    """What a reader of these samples must know, and what to do about it."""
    return tuple(notice for name, result in passes.items() for notice in _of_pass(name, result))


def _of_pass(name: PassName, result: PassResult) -> Iterator[Notice]:
    rounds = round_medians(result.device_s, result.per_round)
    if change := drift(rounds):
        yield Notice(code="drift", pass_name=name, numbers={"change": change})
    if two := levels(rounds):
        yield Notice(code="two-levels", pass_name=name, numbers=two._asdict())
    if excess := beyond_wall(result):
        yield Notice(code="device-over-wall", pass_name=name, numbers={"excess": excess})
    out = outliers(result.device_s)
    if out.far > max(2, MANY_OUTLIERS * out.samples) or (out.far and out.worst > LARGE_OUTLIER):
        yield Notice(code="outliers", pass_name=name, numbers=out._asdict())


def drift(rounds: Sequence[float]) -> float | None:
    """Change from the first third of the rounds to the last, where a rank test sees a trend that matters."""
    if len(rounds) < LEAST_ROUNDS:
        return None
    from scipy.stats import kendalltau  # half a second to import: only where something was measured

    third = len(rounds) // 3
    change = median(rounds[-third:]) / median(rounds[:third]) - 1
    return change if abs(change) > DRIFT and kendalltau(range(len(rounds)), rounds).pvalue < ACCIDENT else None


def beyond_wall(result: PassResult) -> float | None:
    """By how much device time is longer than the wall time of calls without a profiler, where the intervals show it."""
    device, wall = device_time(result), wall_time(result)
    excess = device.median / wall.median - 1
    return excess if excess > DRIFT and device.low > wall.high else None


def outliers(samples: Sequence[float]) -> Outliers:
    """How many samples are far out; only slow ones can be."""
    ordered = sorted(samples)
    lower, upper = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    far = upper + FAR * (upper - lower)
    return Outliers(sum(each > far for each in ordered), len(ordered), ordered[-1] / median(ordered))


def levels(rounds: Sequence[float]) -> Levels | None:
    """The two levels of rounds that are split by a gap much wider than the rounds scatter on either side of it."""
    ordered, least = sorted(rounds), ceil(LEVEL_SHARE * len(rounds))
    if len(ordered) < LEAST_ROUNDS:
        return None
    at = max(range(least, len(ordered) - least + 1), key=lambda k: ordered[k] - ordered[k - 1])
    lower, upper = ordered[:at], ordered[at:]
    gap, scatter = upper[0] - lower[-1], max(_scatter(lower), _scatter(upper))
    if gap <= DRIFT * median(ordered) or gap <= LEVEL_GAP * scatter:
        return None
    return Levels(median(lower), median(upper), len(upper) / len(ordered))


def _scatter(values: Sequence[float]) -> float:
    """Median absolute deviation, scaled to a normal distribution's standard deviation."""
    middle = median(values)
    return 1.4826 * median(abs(each - middle) for each in values)
