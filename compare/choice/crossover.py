"""Where along the sequence one contender overtakes another: the length at which their ratio is 1.

A crossing is told only between lengths at which the verdicts are opposite: that much is certain.  Where in between is
interpolated: the logarithm of the ratio is taken to run straight against the logarithm of the length, as it does where
both times are powers of it, and so are the ends of its interval; the crossing lies where that interval holds 1.  How
far times stray from powers between two lengths is not in it (docs/choosing.md has an example).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import exp, log

import msgspec
from msgspec.structs import replace

from compare.choice.goals import Goal, objection, timed
from compare.choice.selection import ratio_of_peaks
from compare.findings.analysis import by_problem
from compare.findings.conditions import BUSY_MACHINE
from compare.findings.summary import Estimate, paired_ratio
from compare.findings.verdicts import Verdict
from compare.records import Contender, Measurement, Problem, Row

FLOAT = sys.float_info
Point = tuple[int, Estimate]  # a length, and the ratio there
Judge = Callable[[Estimate], Verdict]


class Crossing(msgspec.Struct, frozen=True):
    """The length at which a ratio is 1, with its interval, between two lengths that were ``measured``."""

    length: float
    low: float
    high: float
    measured: tuple[int, int]
    rises: bool  # below it the ratio is under 1


class Series(msgspec.Struct, frozen=True):
    """Two contenders at several lengths, all else equal: the ratio of the first to the second, and where it is 1."""

    problem: Problem
    one: Contender
    other: Contender
    points: tuple[Point, ...]
    crossings: tuple[Crossing, ...]


def series(rows: Iterable[Row], one: Contender, other: Contender, goal: Goal, judge: Judge) -> list[Series]:
    """Every family of problems that differ in their length alone, of which two or more were measured for both."""
    families: dict[Problem, list[Point]] = {}
    for problem, group in by_problem(rows):
        held = {row.contender: row for row in group if isinstance(row, Measurement) and not objection(row, goal, None)}
        if problem.q_len == problem.kv_len and one in held and other in held:
            point = (problem.q_len, _ratio(held[one], held[other], goal))
            families.setdefault(replace(problem, q_len=1, kv_len=1), []).append(point)
    ordered = {family: tuple(sorted(points, key=lambda point: point[0])) for family, points in families.items()}
    return [
        Series(family, one, other, points, tuple(crossings(points, judge)))
        for family, points in ordered.items()
        if len(points) > 1
    ]


def _ratio(one: Measurement, other: Measurement, goal: Goal) -> Estimate:
    if goal == "memory":
        return ratio_of_peaks(one, other)
    busy = any(notice.code == BUSY_MACHINE for row in (one, other) for notice in row.warnings)
    return replace(paired_ratio(timed(one, goal), timed(other, goal)), busy=busy)


def crossings(points: Sequence[Point], judge: Judge) -> Iterable[Crossing]:
    """Those between decided neighbours with opposite verdicts; what is undecided between them widens the interval."""
    decided = [at for at, (_, ratio) in enumerate(points) if judge(ratio) in ("FASTER", "SLOWER")]
    for first, last in pairwise(decided):
        between = points[first : last + 1]
        rises = judge(points[last][1]) == "SLOWER"
        if judge(points[first][1]) != judge(points[last][1]):
            early, late = ("high", "low") if rises else ("low", "high")
            ends = _first(between, early), _last(between, late)
            yield Crossing(_first(between, "median"), *ends, (between[0][0], between[-1][0]), rises)


def _first(points: Sequence[Point], bound: str) -> float:
    """The first length at which the bound of the ratio is 1."""
    return next(_at_one(a, b, bound) for a, b in pairwise(points) if _apart(a, b, bound))


def _last(points: Sequence[Point], bound: str) -> float:
    """The last one."""
    return next(_at_one(a, b, bound) for a, b in reversed([*pairwise(points)]) if _apart(a, b, bound))


def _apart(one: Point, other: Point, bound: str) -> bool:
    """Whether the bound lies on either side of 1, or on it."""
    return bool((getattr(one[1], bound) - 1) * (getattr(other[1], bound) - 1) <= 0)


def _at_one(one: Point, other: Point, bound: str) -> float:
    """The length between two at which the bound is 1, on a straight line through logarithms."""
    (start, low), (end, high) = ((log(length), log(_finite(getattr(ratio, bound)))) for length, ratio in (one, other))
    return exp(start - low * (end - start) / (high - low)) if high != low else exp(start)


def _finite(ratio: float) -> float:
    """An end of an interval from too few rounds, 0 or infinite, as a number that has a logarithm."""
    return min(max(ratio, FLOAT.min), FLOAT.max)
