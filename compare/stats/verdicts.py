"""A ratio and its interval -> FASTER, SLOWER, SAME or UNDECIDED, and what would decide the undecided.

SAME comes first: where the whole interval lies within ``same_within`` of 1, a difference would not matter, however
certain.  FASTER and SLOWER need an interval that excludes 1.
"""

from __future__ import annotations

from math import ceil, inf, isfinite
from typing import Literal

from msgspec.structs import replace

from compare.schema.records import Contender, Settings
from compare.stats.estimates import WIDENED_FROM, Estimate, widened

Verdict = Literal["FASTER", "SLOWER", "SAME", "UNDECIDED"]
VERDICTS: tuple[Verdict, ...] = ("FASTER", "SLOWER", "SAME", "UNDECIDED")
MOST_TIMES_MORE = 20.0  # beyond this, patience is no advice
NEAR = 0.03  # of 1: a few times what two processes of the same program differ by on a CPU


def verdict(relative: Estimate, same_within: float) -> Verdict:
    """What a ratio (time over the reference's time) says, and each of its processes with it: no mean of opposites."""
    if relative.busy:
        return "UNDECIDED"
    found = _of_range(relative.low, relative.high, same_within)
    return found if all(_on_the_side(found, each, same_within) for each in relative.by_process) else "UNDECIDED"


def _of_range(low: float, high: float, same_within: float) -> Verdict:
    if 1 - same_within <= low and high <= 1 + same_within:
        return "SAME"
    if high < 1:
        return "FASTER"
    return "SLOWER" if low > 1 else "UNDECIDED"


def _on_the_side(found: Verdict, ratio: float, same_within: float) -> bool:
    """Whether one process's ratio lies where the verdict says."""
    sides = {"SAME": abs(ratio - 1) <= same_within, "FASTER": ratio < 1, "SLOWER": ratio > 1}
    return sides.get(found, True)


def too_near(relative: Estimate, one: Contender, other: Contender, settings: Settings) -> bool:
    """Whether a difference is one that two processes of the same program may show on a CPU, and too few ran to tell."""
    few = settings.device == "cpu" and settings.processes < WIDENED_FROM
    apart = settings.workers == "contender" or one.home != other.home
    return few and apart and abs(relative.median - 1) < NEAR


def times_more_rounds(relative: Estimate, same_within: float) -> float:
    """By how much the rounds would have to grow, if the interval shrinks with their root and the median stays.

    It is decided once the interval is shorter than the distance to 1, or than what is left to the bounds of SAME.
    """
    distance = abs(relative.median - 1)
    arm = relative.half_width * relative.median
    return (arm / max(distance, same_within - distance)) ** 2 if isfinite(arm) else inf


def settled(relative: Estimate, same_within: float) -> Verdict:
    """What endless rounds in these processes would say, if the median stayed."""
    return verdict(replace(relative, low=relative.median, high=relative.median), same_within)


def advice(relative: Estimate, same_within: float) -> str:
    """What would decide an undecided ratio, in words."""
    if relative.busy:
        return "an idle machine: other processes used more than a quarter of the CPUs meanwhile"
    if widened(relative) or (relative.by_process and settled(relative, same_within) == "UNDECIDED"):
        low, high = min(relative.by_process), max(relative.by_process)
        return f"more processes (--processes): those that ran differ, {low:.3f}x to {high:.3f}x"
    more = times_more_rounds(relative, same_within)
    if not isfinite(more):
        return "more rounds: there are too few for an interval"
    if more <= MOST_TIMES_MORE:
        rounds = f"about {ceil(more * relative.rounds)} rounds in place of {relative.rounds}"
        return f"{rounds} (a larger --budget or --samples)"
    return f"a quieter machine: {relative.rounds} rounds scatter too much for patience to help"
