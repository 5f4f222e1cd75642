"""Where one contender overtakes another: exactly where times are powers, and only where it is certain."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.analysis.recommend import Point, crossings, series
from compare.stats.estimates import Estimate
from compare.stats.verdicts import Verdict, verdict
from tests.choosing.rows import steady
from tests.samples import EAGER, JAX, agreement, problem

LENGTHS = (256, 1024, 4096, 16384)


def judge(ratio: Estimate) -> Verdict:
    return verdict(ratio, 0.01)


def points(*ratios: float, arm: float = 1.001, lengths: tuple[int, ...] = LENGTHS) -> list[Point]:
    found = [Estimate(each, each / arm, each * arm, 10) for each in ratios]
    return list(zip(lengths, found, strict=False))


@given(st.floats(260, 16000), st.floats(0.2, 2.0), st.sampled_from([-1, 1]), st.floats(1.0001, 1.002))
def test_of_two_powers_the_crossing_is_exact_and_its_interval_that_of_the_ratios(
    at: float, power: float, sign: int, arm: float
) -> None:
    ratios = [(length / at) ** (sign * power) for length in LENGTHS]
    found = list(crossings(points(*ratios, arm=arm), judge))
    if all(judge(ratio) in ("FASTER", "SLOWER") for _, ratio in points(*ratios, arm=arm)):
        [crossing] = found
        assert crossing.length == pytest.approx(at)
        assert crossing.low == pytest.approx(at / arm ** (1 / power))
        assert crossing.high == pytest.approx(at * arm ** (1 / power))
        assert crossing.rises == (sign > 0)
        assert crossing.measured[0] < at < crossing.measured[1]


@given(st.lists(st.floats(0.2, 5.0), min_size=2, max_size=4), st.floats(1.0, 1.5))
def test_a_crossing_lies_within_its_interval_and_that_within_what_was_measured(ratios: list[float], arm: float) -> None:
    for each in crossings(points(*ratios, arm=arm), judge):
        low, high = each.measured
        assert low * 0.999999 <= each.low <= each.length * 1.000001
        assert each.length * 0.999999 <= each.high <= high * 1.000001


def test_a_length_that_is_not_decided_widens_the_interval() -> None:
    narrow, wide = points(0.5, 1.0, 2.0), points(0.5, 1.0, 2.0)
    wide[1] = (1024, Estimate(1.0, 0.7, 1.4, 10))
    [calm], [shaky] = crossings(narrow, judge), crossings(wide, judge)
    assert calm.measured == shaky.measured == (256, 4096)
    assert shaky.low < calm.low < 1024 < calm.high < shaky.high


def test_the_interval_reaches_to_the_last_length_that_may_be_it() -> None:
    """One length in between would decide it, had the machine not been busy; the one after it is level."""
    found = points(0.5, 1.1, 1.0, 2.0)
    found[1:3] = [(1024, Estimate(1.1, 1.05, 1.2, 10, busy=True)), (4096, Estimate(1.0, 0.8, 1.2, 10))]
    [crossing] = crossings(found, judge)
    assert 256 < crossing.low < crossing.length < 1024
    assert 4096 < crossing.high < 16384


def test_too_few_rounds_in_between_leave_the_whole_range() -> None:
    found = points(0.5, 1.0, 2.0)
    found[1] = (1024, Estimate(1.0, 0.0, inf, 3))
    [crossing] = crossings(found, judge)
    assert crossing.length == pytest.approx(1024)
    assert (crossing.low, crossing.high) == (pytest.approx(256, rel=0.01), pytest.approx(4096, rel=0.01))


@pytest.mark.parametrize("ratios", [(0.5, 0.6, 0.9), (1.2, 1.1, 1.5), (0.5, 0.8, 1.001), (0.999, 1.2, 1.1)])
def test_without_opposite_verdicts_there_is_no_crossing(ratios: tuple[float, ...]) -> None:
    assert list(crossings(points(*ratios), judge)) == []


def test_there_may_be_several() -> None:
    found = list(crossings(points(0.5, 2.0, 0.5, 2.0), judge))
    assert [each.length for each in found] == pytest.approx([512, 2048, 8192])
    assert [each.rises for each in found] == [True, False, True]


def test_families_differ_in_their_length_alone_and_need_both_contenders_at_two_lengths() -> None:
    rows = [steady(problem(length, 64), who, t) for length, who, t in (
        (1024, JAX, 4e-3), (256, JAX, 1e-3), (1024, EAGER, 2e-3), (256, EAGER, 2e-3)
    )]  # fmt: skip
    rows += [steady(problem(256, 32), each) for each in (JAX, EAGER)]
    rows += [steady(problem(512, 64), JAX)]
    rows += [steady(problem(64, 64, kv_len=512), each) for each in (JAX, EAGER)]  # a length of its own for the keys
    rows += [steady(problem(2048, 64), JAX), steady(problem(2048, 64), EAGER, agreement=agreement(False))]
    [found] = series(rows, JAX, EAGER, "latency", judge)
    assert [length for length, _ in found.points] == [256, 1024]
    [crossing] = found.crossings
    assert crossing.length == pytest.approx(512, rel=1e-3)
    assert crossing.rises


def test_memory_crosses_where_the_counts_do() -> None:
    def row(length: int, who: object, peak: int) -> object:
        plain = steady(problem(length), who, passes=("step",))  # type: ignore[arg-type]
        return replace(plain, passes={"step": replace(plain.passes["step"], peak_bytes=peak)})

    rows = [row(256, JAX, 100), row(1024, JAX, 1600), row(256, EAGER, 200), row(1024, EAGER, 800)]
    [found] = series(rows, JAX, EAGER, "memory", judge)  # type: ignore[arg-type]
    [crossing] = found.crossings
    assert (crossing.low, crossing.length, crossing.high) == pytest.approx((512, 512, 512))
