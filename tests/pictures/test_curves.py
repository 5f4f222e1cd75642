"""What pictures draw: slopes as planted, shares of the roofline bound, and fronts that the intervals bear."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from compare.analysis import curves
from compare.analysis.roofline import reached
from compare.schema.records import RESIDENT, Contender, Measurement
from compare.stats.estimates import device_time
from tests import samples
from tests.samples import COMPILE, EAGER, JAX, measurement, problem
from tests.test_roofline import rate


def family(rows: list[Measurement]) -> curves.Family:
    [found] = curves.families(rows)
    return found


@settings(max_examples=50, deadline=None)
@given(some.floats(0.5, 3.0), some.floats(1e-5, 1.0))
def test_a_slope_is_the_exponent_that_was_planted(exponent: float, scale: float) -> None:
    rows = [measurement(problem(length), JAX, scale * length**exponent) for length in (256, 64, 1024)]
    [curve] = curves.curves(rows, "forward", curves.time_s)
    assert [length for length, _ in curve.points] == [64, 256, 1024]
    assert curve.slope == pytest.approx(exponent)


def test_the_shortest_and_the_longest_times_have_a_slope() -> None:
    [curve] = curves.curves(
        [measurement(problem(1), JAX, 1e-12), measurement(problem(2**30), JAX, 1e9)], "forward", curves.time_s
    )
    assert curve.slope == pytest.approx(21 * log(10) / log(2**30))


def test_peaks_that_were_weighed_in_two_ways_have_no_slope() -> None:
    rows = [measurement(problem(length)) for length in (64, 128)]
    assert curves.curves(rows, "step", curves.peak_bytes)[0].slope == pytest.approx(2.0)
    grown = replace(rows[1].passes["step"], peak_source=RESIDENT)
    mixed = [rows[0], replace(rows[1], passes={"step": grown})]
    assert curves.curves(mixed, "step", curves.peak_bytes)[0].slope is None
    assert curves.curves(rows[:1], "step", curves.peak_bytes)[0].slope is None


def test_nothing_allocated_has_no_point() -> None:
    row = measurement(problem())
    empty = replace(row, passes={"step": replace(row.passes["step"], peak_bytes=0)})
    assert curves.curves([empty], "step", curves.peak_bytes) == []


def test_a_family_differs_in_length_and_head_size_alone() -> None:
    alike = [measurement(problem(length, head)) for length in (64, 128) for head in (16, 32)]
    others = [
        measurement(problem(64, mask="causal")),
        measurement(problem(64, kv_len=32)),  # unequal lengths have no one place on the axis
        measurement(problem(256), agreement=samples.agreement(False)),
    ]
    first, second = curves.families([*others, *alike])
    assert first.rows == tuple(alike)
    assert (first.lengths, first.head_dims) == ([64, 128], [16, 32])
    assert second.rows == (others[0],)


def test_the_share_of_roofline_has_the_interval_of_its_time() -> None:
    row = measurement(problem(), jitter=0.2)
    share = curves.roofline_share(reached([row], [rate()]))(row, "step")
    time = device_time(row.passes["step"])
    assert share is not None
    bound_s = share[0].median * time.median
    assert (share[0].low * time.high, share[0].high * time.low) == (pytest.approx(bound_s), pytest.approx(bound_s))
    assert curves.roofline_share(reached([row], []))(row, "step") is None


def row(contender: Contender, time_s: float, peak_bytes: int, jitter: float = 0.0, **other: object) -> Measurement:
    made = measurement(problem(**other), contender, time_s, passes=("step",), jitter=jitter)
    return replace(made, passes={"step": replace(made.passes["step"], peak_bytes=peak_bytes)})


def test_a_front_holds_who_is_not_surely_beaten() -> None:
    rows = [row(JAX, 1.0, 100), row(EAGER, 2.0, 100), row(COMPILE, 3.0, 50)]
    [front] = curves.fronts(rows)
    assert [each.beaten for each in front.placed] == [False, True, False]
    assert front.pass_name == "step"


def test_no_one_is_beaten_where_intervals_touch() -> None:
    rows = [row(JAX, 1.0, 100, jitter=0.5), row(EAGER, 1.2, 100, jitter=0.5)]
    [front] = curves.fronts(rows)
    assert [each.beaten for each in front.placed] == [False, False]


def test_dtypes_stand_together_and_functions_apart() -> None:
    rows = [row(JAX, 1.0, 9), row(JAX, 1.0, 5, dtype="bfloat16"), row(EAGER, 1.0, 9, mask="causal")]
    [front] = curves.fronts(rows)
    assert {each.row.problem.dtype for each in front.placed} == {"float32", "bfloat16"}


@settings(max_examples=50, deadline=None)
@given(some.lists(some.tuples(some.floats(0.1, 9.0), some.integers(1, 9)), min_size=2, max_size=8))
def test_some_row_is_never_beaten(points: list[tuple[float, int]]) -> None:
    rows = [row(replace(JAX, entrant=1 + at), time, size, jitter=0.1) for at, (time, size) in enumerate(points)]
    [front] = curves.fronts(rows)
    assert not all(each.beaten for each in front.placed)
