"""Sums over a mix and their ratios: by hand, against their promise of coverage, and with processes of their own."""

from __future__ import annotations

import random
from math import exp, hypot, inf, isinf, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.analysis.mix import ratio_of_totals, total
from compare.schema.records import PassResult
from compare.stats.estimates import Estimate, estimate, paired_ratio
from tests.samples import pass_result

CALLS, TIMES_S, RATIOS = (1000.0, 30.0, 1.0), (1e-5, 3e-4, 2e-2), (2.0, 0.9, 1.1)
TRUE = sum(n * t * r for n, t, r in zip(CALLS, TIMES_S, RATIOS, strict=True)) / sum(
    n * t for n, t in zip(CALLS, TIMES_S, strict=True)
)
TRIALS = 700


def result(*processes: list[float]) -> PassResult:
    """One pass, a sample a round, in one process or several."""
    first, *others = (replace(pass_result(1.0, 0), device_s=tuple(each), per_round=1) for each in processes)
    return replace(first, repeats=dict(enumerate(others, 2)))


def drawn(
    chance: random.Random, rounds: int, spreads: int = 1, between: float = 0.0, drift: float = 0.0
) -> tuple[list[PassResult], ...]:
    """Two contenders on three problems: rounds that drift alike, scatter with a long tail, processes with an offset."""
    ours: list[list[list[float]]] = [[] for _ in CALLS]
    others: list[list[list[float]]] = [[] for _ in CALLS]
    for _ in range(spreads):
        offsets = exp(chance.gauss(0, between)), exp(chance.gauss(0, between))  # of all problems alike
        for at, (time_s, ratio) in enumerate(zip(TIMES_S, RATIOS, strict=True)):
            slower = [1 + drift * step / rounds for step in range(rounds)]
            ours[at].append([time_s * ratio * offsets[0] * each * skewed(chance) for each in slower])
            others[at].append([time_s * offsets[1] * each * skewed(chance) for each in slower])
    return [result(*each) for each in ours], [result(*each) for each in others]


def skewed(chance: random.Random) -> float:
    """Noise of median 1 with a long tail to one side."""
    return exp(0.05 * abs(chance.gauss(0, 1)) if chance.random() < 0.5 else -0.02 * abs(chance.gauss(0, 1)))


def errors(found: list[Estimate]) -> list[float]:
    """How far each estimate is off, in units of the arm of its interval on that side: up to 1 it is covered."""
    return sorted(
        (each.median - TRUE) / (each.median - each.low)
        if each.median > TRUE
        else (TRUE - each.median) / (each.high - each.median)
        for each in found
    )


@pytest.mark.parametrize(("rounds", "drift"), [(6, 0.0), (9, 0.3), (20, 0.0)])
def test_the_interval_of_a_ratio_of_totals_covers_it_and_is_not_twice_as_wide_as_it_must_be(
    rounds: int, drift: float
) -> None:
    chance = random.Random(rounds)
    off = errors([ratio_of_totals(CALLS, *drawn(chance, rounds, drift=drift)) for _ in range(TRIALS)])
    assert sum(each <= 1 for each in off) / TRIALS >= 0.95 - 3 * sqrt(0.95 * 0.05 / TRIALS)
    assert drift or off[int(0.95 * TRIALS)] > 0.5


def test_five_processes_cover_what_another_process_would_show() -> None:
    """An offset of a process is common to its problems, so it may not be added in squares over them."""
    chance = random.Random(5)
    found = [ratio_of_totals(CALLS, *drawn(chance, 8, 5, between=0.02)) for _ in range(TRIALS // 2)]
    covered = sum(each.low <= TRUE <= each.high for each in found) / len(found)
    assert 0.95 - 3 * sqrt(0.95 * 0.05 / len(found)) <= covered < 1
    assert {len(each.by_process) for each in found} == {5}


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 10), st.floats(1e-3, 1e3), st.integers(0, 2**30))
def test_a_mix_of_one_problem_is_its_paired_ratio_however_often_it_is_called(
    ratio: float, calls: float, seed: int
) -> None:
    chance = random.Random(seed)
    other = [skewed(chance) for _ in range(9)]
    one, two = result([ratio * each * skewed(chance) for each in other]), result(other)
    found, paired = ratio_of_totals([calls], [one], [two]), paired_ratio(one, two)
    assert (found.median, found.low, found.high) == pytest.approx((paired.median, paired.low, paired.high))


def test_the_ratio_is_the_problems_ratios_by_their_share_of_the_time() -> None:
    ours, others = [result([2.0] * 6), result([3.0] * 6)], [result([1.0] * 6), result([6.0] * 6)]
    assert ratio_of_totals([4, 1], ours, others).median == pytest.approx((4 * 2 + 3) / (4 + 6))
    assert ratio_of_totals([4, 1], others, ours).median == pytest.approx((4 + 6) / (4 * 2 + 3))
    assert ratio_of_totals([1, 0.0001], ours, others).median == pytest.approx(2, rel=1e-3)


def test_arms_are_weighed_and_added_in_squares() -> None:
    one, two = [1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 4.0], [10.0, 10.0, 11.0, 11.0, 11.0, 12.0, 12.0]
    found = total([3, 1], [result(one), result(two)])
    parts = [(3, estimate(one)), (1, estimate(two))]
    assert found.median == 3 * 2 + 11
    assert found.median - found.low == pytest.approx(hypot(*(n * (each.median - each.low) for n, each in parts)))
    assert found.high - found.median == pytest.approx(hypot(*(n * (each.high - each.median) for n, each in parts)))


def test_a_share_that_is_not_known_widens_the_ratio_only_where_ratios_differ() -> None:
    shaky, calm = [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5], [1.0] * 7
    alike = [result([2 * each for each in shaky]), result([2 * each for each in calm])]
    unlike = [result([3 * each for each in shaky]), alike[1]]
    reference = [result(shaky), result(calm)]
    assert ratio_of_totals([1, 1], alike, reference).half_width == pytest.approx(0, abs=1e-12)
    assert ratio_of_totals([1, 1], unlike, reference).half_width > 0.04


def test_too_few_rounds_in_one_problem_leave_no_interval() -> None:
    few, enough = result([1.0] * 5), result([1.0] * 6)
    found = ratio_of_totals([1, 1], [few, enough], [few, enough])
    assert (found.median, found.low, found.high) == (1.0, 0.0, inf)
    assert isinf(total([1, 1], [few, enough]).high)


def test_a_process_that_one_problem_lacks_counts_for_none() -> None:
    both, one = result([1.0] * 6, [3.0] * 6), result([1.0] * 6)
    assert total([1, 1], [both, one]).median == pytest.approx(2.0)
    assert total([1, 1], [both, both]).by_process == (2.0, 6.0)
    assert ratio_of_totals([1, 1], [both, both], [one, both]).by_process == ()
