"""Sums over the problems of a mix, and their ratios: how many calls of each a job makes, times what a call takes.

The interval of a sum comes from those of its parts: their arms, each weighed, are added in squares (MOVER: Zou and
Donner 2008, doi:10.1002/sim.3095), for problems are measured one after the other and err by themselves.  What a
process does to all its problems alike is no such error, so sums are formed within a process, and joined over processes
as every other estimate is (compare.findings.summary).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, inf, isfinite

from compare.findings.summary import Estimate, device_rounds, estimate, joined, processes_of, ratios_by_process
from compare.records import PassResult


def total(calls: Sequence[float], results: Sequence[PassResult]) -> Estimate:
    """Device time of so many calls of each, in seconds."""
    found = [times_by_process(result) for result in results]
    return joined([_sum(calls, [each[at] for each in found]) for at in _shared(found)])


def ratio_of_totals(calls: Sequence[float], ours: Sequence[PassResult], reference: Sequence[PassResult]) -> Estimate:
    """The total over the reference's: the ratio of each problem within rounds, by its share of the reference's time."""
    ratios = [ratios_by_process(*pair) for pair in zip(ours, reference, strict=True)]
    times = [times_by_process(result) for result in reference]
    return joined([_mean(calls, [each[at] for each in ratios], [each[at] for each in times]) for at in _shared(ratios)])


def times_by_process(result: PassResult) -> dict[int, Estimate]:
    """Device time of one iteration in each process, by its number."""
    return {at: estimate(device_rounds(each)) for at, each in processes_of(result).items()}


def _shared(found: Sequence[Mapping[int, Estimate]]) -> list[int]:
    """The processes that every problem has."""
    return [at for at in found[0] if all(at in each for each in found)]


def _sum(calls: Sequence[float], times: Sequence[Estimate]) -> Estimate:
    parts = list(zip(calls, times, strict=True))
    down = hypot(*(n * (time.median - time.low) for n, time in parts))
    up = hypot(*(n * (time.high - time.median) for n, time in parts))
    middle = sum(n * time.median for n, time in parts)
    return Estimate(middle, max(middle - down, 0.0), middle + up, min(time.rounds for time in times))


def _mean(calls: Sequence[float], ratios: Sequence[Estimate], times: Sequence[Estimate]) -> Estimate:
    """The ratio of two sums: the mean of the problems' ratios, by shares of the reference's time.

    A problem errs by the arm of its ratio, and where that is not the mean, by the error of its share too.  Both come
    from the same rounds, so they are added plainly before those of several problems are in squares.
    """
    whole = sum(n * time.median for n, time in zip(calls, times, strict=True))
    shares = [n * time.median / whole for n, time in zip(calls, times, strict=True)]
    middle = sum(share * ratio.median for share, ratio in zip(shares, ratios, strict=True))
    rounds = min(ratio.rounds for ratio in ratios)
    if not all(isfinite(each.high) for each in (*ratios, *times)):
        return Estimate(middle, 0.0, inf, rounds)
    shifts = [abs(ratio.median - middle) * time.half_width for ratio, time in zip(ratios, times, strict=True)]
    parts = list(zip(shares, ratios, shifts, strict=True))
    down = hypot(*(share * (ratio.median - ratio.low + shift) for share, ratio, shift in parts))
    up = hypot(*(share * (ratio.high - ratio.median + shift) for share, ratio, shift in parts))
    return Estimate(middle, max(middle - down, 0.0), middle + up, rounds)
