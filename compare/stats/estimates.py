"""Samples -> medians, intervals and ratios.  No mean: a shared machine's times have a long tail to one side.

A round is one turn of a contender; the iterations inside it share the state of the machine, so a round counts once,
by its median.  Intervals are distribution-free, from order statistics of the rounds: with X_1 <= ... <= X_n the
interval [X_k, X_{n+1-k}] covers the median with probability 1 - 2 P(Bin(n, 1/2) < k) whatever the distribution
(Conover, Practical Nonparametric Statistics, 3rd ed. 1999, section 3.2).  Six rounds are the fewest that reach 95%.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from math import exp, hypot, inf, isfinite, lgamma, log, sqrt
from statistics import fmean, median, stdev

import msgspec
from msgspec.structs import replace

from compare.machine.load import BUSY_MACHINE
from compare.schema.records import Contender, Measurement, PassName, PassResult

CONFIDENCE = 0.95
WIDENED_FROM = 5  # processes: fewer say too little of how processes differ
TARGET_HALF_WIDTH = 0.005  # so narrow that an interval about 1 lies within the +-1% of SAME


class Estimate(msgspec.Struct, frozen=True):
    """A median with its 95% interval over ``rounds`` rounds; ``by_process`` has each one's where there are several.

    ``busy``: of a ratio, other processes used the timed CPUs meanwhile, so it bears no verdict.
    """

    median: float
    low: float
    high: float
    rounds: int
    by_process: tuple[float, ...] = ()
    busy: bool = False

    @property
    def half_width(self) -> float:
        """The longer arm of the interval, as a share of the median."""
        return max(self.high - self.median, self.median - self.low) / self.median if self.median else 0.0


@cache
def interval_rank(rounds: int) -> int:
    """The largest k for which [X_k, X_{n+1-k}] still covers the median with 95%; 0 where even the range does not."""

    def probability(k: int) -> float:
        return exp(lgamma(rounds + 1) - lgamma(k + 1) - lgamma(rounds - k + 1) - rounds * log(2))

    below = accumulate(map(probability, range(rounds // 2)))
    return sum(p <= (1 - CONFIDENCE) / 2 for p in below)


def estimate(values: Sequence[float]) -> Estimate:
    """Median of per-round values with its distribution-free interval; under six rounds the interval is infinite."""
    ordered, rank = sorted(values), interval_rank(len(values))
    low, high = (ordered[rank - 1], ordered[-rank]) if rank else (0.0, inf)
    return Estimate(median(ordered), low, high, len(ordered))


def joined(parts: Sequence[Estimate]) -> Estimate:
    """Estimates of several processes as one: the mean of their logarithms, its interval from theirs.

    Independent errors add in squares, so the interval holds for the processes that ran.  From WIDENED_FROM on it is at
    least Student's interval over the processes' own medians, which asks what another process would have shown; fewer
    cannot tell (Kalibera and Jones 2013, doi:10.1145/2491894.2464160, on repetition at the level that varies).  A mean,
    for a median of five would need the range of all five and still not reach 95%.
    """
    if len(parts) == 1:
        return parts[0]
    medians, count = [part.median for part in parts], len(parts)
    if not all(isfinite(part.high) and part.low > 0 for part in parts):
        return Estimate(exp(fmean(map(log, medians))), 0.0, inf, sum(part.rounds for part in parts), tuple(medians))
    middle = fmean(map(log, medians))
    down = hypot(*(log(part.median / part.low) for part in parts)) / count
    up = hypot(*(log(part.high / part.median) for part in parts)) / count
    if count >= WIDENED_FROM:
        down, up = max(down, between(medians)), max(up, between(medians))
    return Estimate(
        exp(middle), exp(middle - down), exp(middle + up), sum(part.rounds for part in parts), tuple(medians)
    )


def between(medians: Sequence[float]) -> float:
    """The arm of Student's interval over the logarithms of the processes' medians."""
    from scipy.special import stdtrit

    student = float(stdtrit(len(medians) - 1, (1 + CONFIDENCE) / 2))
    return student * stdev(map(log, medians)) / sqrt(len(medians))


def widened(found: Estimate) -> bool:
    """Whether the spread of the processes, which no rounds can narrow, makes up most of the interval."""
    if len(found.by_process) < WIDENED_FROM or not isfinite(found.high):
        return False
    return between(found.by_process) > 0.9 * log(1 + found.half_width)


def round_medians(samples: Sequence[float], per_round: int) -> list[float]:
    """One value per round: the median of the iterations in it."""
    return [median(samples[at : at + per_round]) for at in range(0, len(samples), per_round)]


def device_time(result: PassResult) -> Estimate:
    """Device time of one iteration of a pass, in seconds."""
    return joined([estimate(device_rounds(each)) for each in processes_of(result).values()])


def wall_time(result: PassResult) -> Estimate:
    """Un-profiled wall time of one iteration of a pass, in seconds."""
    return joined([estimate(wall_rounds(each)) for each in processes_of(result).values()])


def processes_of(result: PassResult) -> dict[int, PassResult]:
    """The pass in each process, the first one's as number 1."""
    return {1: result} | result.repeats


def paired_ratio(result: PassResult, reference: PassResult) -> Estimate:
    """Device time over the reference's, formed within each round, so that a drift of the machine cancels."""
    return joined([*ratios_by_process(result, reference).values()])


def ratios_by_process(result: PassResult, reference: PassResult) -> dict[int, Estimate]:
    """The same in each process that has both, by its number."""
    ours, others = processes_of(result), processes_of(reference)
    return {at: _ratio(device_rounds(ours[at]), device_rounds(others[at])) for at in ours if at in others}


def wall_ratio(result: PassResult, reference: PassResult) -> Estimate:
    """Un-profiled wall time over the reference's, formed in the same way."""
    ours, others = processes_of(result), processes_of(reference)
    return joined([_ratio(wall_rounds(ours[at]), wall_rounds(others[at])) for at in ours if at in others])


def unpaired_ratio(result: PassResult, reference: PassResult) -> Estimate:
    """Device time over the reference's, measured without turns: both intervals count, combined in quadrature."""
    return quotient(device_time(result), device_time(reference))


def quotient(ours: Estimate, other: Estimate) -> Estimate:
    """One estimate over another that is independent of it."""
    median_, rounds = ours.median / other.median, min(ours.rounds, other.rounds)
    if not all(isfinite(each.high) and each.low > 0 for each in (ours, other)):
        return Estimate(median_, 0.0, inf, rounds)
    down = hypot(log(ours.median / ours.low), log(other.high / other.median))
    up = hypot(log(ours.high / ours.median), log(other.median / other.low))
    return Estimate(median_, median_ * exp(-down), median_ * exp(up), rounds)


def device_rounds(result: PassResult) -> tuple[float, ...]:
    """Device time of each round of one process."""
    return tuple(round_medians(result.device_s, result.per_round))


def wall_rounds(result: PassResult) -> tuple[float, ...]:
    """Wall time of each round of one process."""
    return tuple(round_medians(result.wall_s, result.per_round))


def _ratio(ours: Sequence[float], others: Sequence[float]) -> Estimate:
    return estimate([a / b for a, b in zip(ours, others, strict=True)])


def reference_of(rows: Sequence[Measurement]) -> Measurement | None:
    """The row that ratios of a problem refer to: the first whose numbers agree and that shared its rounds."""
    return next((row for row in rows if trusted(row) and not row.alone), None)


def trusted(row: Measurement) -> bool:
    """Whether the row's numbers agree with the oracle: without that no ratio is given."""
    return row.agreement is not None and row.agreement.agrees


def ratio(row: Measurement, reference: Measurement | None, name: PassName) -> Estimate | None:
    """Device-time ratio of a row to the reference, or None where it would not be fair to give one."""
    if reference is None or row is reference or row.alone or not trusted(row):
        return None
    if name not in row.passes or name not in reference.passes:
        return None
    relative = paired_ratio(row.passes[name], reference.passes[name])
    return replace(relative, busy=True) if busy(row) or busy(reference) else relative


def busy(row: Measurement) -> bool:
    """Whether other processes used too much of the timed CPUs for a verdict."""
    return any(notice.code == BUSY_MACHINE for notice in row.warnings)


def target_half_width(same_within: float) -> float:
    """How well a ratio must be known before sampling stops: well enough for SAME."""
    return min(TARGET_HALF_WIDTH, same_within / 2)


def steady(samples: dict[Contender, dict[PassName, PassResult]], target: float = TARGET_HALF_WIDTH) -> bool:
    """Whether every ratio to the first contender (or, alone, every median) is known to within the target."""
    first, *others = samples.values()
    if not others:
        return all(device_time(result).half_width <= target for result in first.values())
    return all(paired_ratio(other[name], first[name]).half_width <= target for other in others for name in first)
