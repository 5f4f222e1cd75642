"""Medians, intervals and ratios: against scipy, against their promise of coverage, and against a drifting machine."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import binom

from compare.schema.records import Measurement, PassResult
from compare.stats.estimates import (
    TARGET_HALF_WIDTH,
    Estimate,
    device_time,
    estimate,
    interval_rank,
    paired_ratio,
    ratio,
    reference_of,
    round_medians,
    steady,
    target_half_width,
    unpaired_ratio,
    wall_time,
)
from tests.samples import COMPILE, EAGER, JAX, agreement, measurement, pass_result, problem

PROBLEM = problem(64)


def samples(*device_s: float, per_round: int = 1) -> PassResult:
    return replace(
        pass_result(1.0, 0), device_s=device_s, wall_s=tuple(2 * each for each in device_s), per_round=per_round
    )


def row(contender: object, *device_s: float, **other: object) -> Measurement:
    return replace(measurement(PROBLEM, contender), passes={"forward": samples(*device_s)}, **other)


@pytest.mark.parametrize(("rounds", "rank"), [(0, 0), (1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (20, 6), (30, 10)])
def test_interval_rank_is_the_textbooks(rounds: int, rank: int) -> None:
    assert interval_rank(rounds) == rank


@pytest.mark.parametrize("rounds", range(1, 61))
def test_interval_rank_is_the_largest_that_covers(rounds: int) -> None:
    covering = [k for k in range(1, rounds // 2 + 1) if 1 - 2 * binom.cdf(k - 1, rounds, 0.5) >= 0.95]
    assert interval_rank(rounds) == max(covering, default=0)


@pytest.mark.parametrize("rounds", [6, 9, 17, 30])
def test_the_interval_covers_the_median_of_a_skewed_distribution(rounds: int) -> None:
    chance, trials = random.Random(rounds), 4000
    found = [estimate([chance.lognormvariate(0, 1) for _ in range(rounds)]) for _ in range(trials)]
    covered = sum(each.low <= 1.0 <= each.high for each in found) / trials  # the median of a log-normal is exp(mu)
    assert covered >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
    assert covered < 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40))
def test_the_interval_is_made_of_samples_around_the_median(values: list[float]) -> None:
    found = estimate(values)
    assert (found.median, found.rounds) == (median(values), len(values))
    assert found.low <= found.median <= found.high
    if len(values) < 6:
        assert (found.low, found.high) == (0, math.inf)
    else:
        assert {found.low, found.high} <= set(values)


def test_estimate_on_numbers_by_hand() -> None:
    assert estimate([3, 1, 2, 9, 4, 5, 6, 7, 8]) == Estimate(5, 2, 8, 9)
    assert Estimate(5, 2, 9, 9).half_width == pytest.approx(0.8)
    assert Estimate(5, 1, 6, 9).half_width == pytest.approx(0.8)


def test_a_round_counts_once_by_its_median() -> None:
    result = samples(1, 2, 90, 4, 5, 6, 7, 8, per_round=3)
    assert round_medians(result.device_s, 3) == [2, 5, 7.5]
    assert (device_time(result).median, device_time(result).rounds) == (5, 3)
    assert (wall_time(result).median, wall_time(result).rounds) == (10, 3)


def test_a_common_drift_cancels_in_the_ratio() -> None:
    drift = [1.5**at for at in range(10)]  # the machine gets 38 times slower over the run
    slow = samples(*(3 * each for each in drift))
    fast = samples(*(2 * each for each in drift))
    found = paired_ratio(slow, fast)
    assert (found.median, found.half_width) == (pytest.approx(1.5), pytest.approx(0, abs=1e-12))
    assert device_time(slow).half_width > 1


def test_a_drift_cancels_with_different_numbers_of_iterations_in_a_round() -> None:
    slow = samples(*(3 * 1.5**at for at in range(8)))
    fast = samples(*(2 * 1.5**at * wobble for at in range(8) for wobble in (0.9, 1, 1.4)), per_round=3)
    assert paired_ratio(slow, fast).median == pytest.approx(1.5)
    assert paired_ratio(slow, fast).rounds == 8


def test_rounds_that_do_not_match_are_never_paired() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratio(samples(*[2.0] * 6), samples(*[1.0] * 9))


FIRST = row(JAX, *[2.0] * 6)
SECOND = row(EAGER, *[3.0] * 6)
WRONG = row(JAX, *[1.0] * 6, agreement=agreement(False))
ALONE = row(JAX, *[1.0] * 6, alone=True)
UNJUDGED = row(JAX, *[1.0] * 6, agreement=None)


def test_the_reference_is_the_first_row_that_agrees_and_shared_its_rounds() -> None:
    assert reference_of([FIRST, SECOND]) is FIRST
    assert reference_of([WRONG, ALONE, SECOND, FIRST]) is SECOND
    assert reference_of([WRONG, ALONE]) is None
    assert reference_of([]) is None


def test_a_ratio_is_given_to_rows_that_agree_and_shared_their_rounds() -> None:
    found = ratio(SECOND, FIRST, "forward")
    assert found == Estimate(1.5, 1.5, 1.5, 6)


@pytest.mark.parametrize("unfair", [WRONG, ALONE, FIRST], ids=["disagrees", "alone", "itself"])
def test_no_ratio_is_given_where_it_would_be_unfair(unfair: Measurement) -> None:
    assert ratio(unfair, FIRST, "forward") is None


def test_no_ratio_without_a_reference_or_without_the_pass() -> None:
    assert ratio(SECOND, None, "forward") is None
    assert ratio(SECOND, FIRST, "backward") is None


def test_a_row_whose_numbers_nobody_judged_gets_no_ratio() -> None:
    assert ratio(UNJUDGED, SECOND, "forward") is None
    assert reference_of([UNJUDGED, SECOND]) is SECOND


CALM = samples(*[1.0] * 6)
WIDE = samples(*[1.0 + 0.005 * at for at in range(6)])
DRIFT = samples(*[1.5**at for at in range(6)])


def test_alone_a_contender_is_steady_by_its_own_median() -> None:
    assert TARGET_HALF_WIDTH == 0.005
    assert (target_half_width(0.01), target_half_width(0.05), target_half_width(0.001)) == (0.005, 0.005, 0.0005)
    assert steady({JAX: {"forward": CALM}})
    assert not steady({JAX: {"forward": WIDE}})
    assert not steady({JAX: {"forward": CALM, "step": WIDE}})
    assert not steady({JAX: {"forward": samples(*[1.0] * 5)}})  # five rounds reach no 95%


def test_together_contenders_are_steady_by_their_ratios() -> None:
    assert steady({JAX: {"forward": DRIFT}, EAGER: {"forward": DRIFT}})
    assert not steady({JAX: {"forward": DRIFT}, EAGER: {"forward": CALM}})
    assert not steady({JAX: {"forward": CALM}, EAGER: {"forward": CALM}, COMPILE: {"forward": WIDE}})
    assert not steady({JAX: {"forward": CALM, "step": CALM}, EAGER: {"forward": CALM, "step": WIDE}})


def test_an_unpaired_ratio_has_both_intervals_in_squares() -> None:
    ours, other = samples(*range(100, 112)), samples(*range(200, 260, 5))
    one, two, found = device_time(ours), device_time(other), unpaired_ratio(ours, other)
    assert found.median == pytest.approx(one.median / two.median)
    down = math.hypot(math.log(one.median / one.low), math.log(two.high / two.median))
    up = math.hypot(math.log(one.high / one.median), math.log(two.median / two.low))
    assert math.log(found.median / found.low) == pytest.approx(down)
    assert math.log(found.high / found.median) == pytest.approx(up)
    assert math.isinf(unpaired_ratio(samples(1.0, 2.0), other).high)
