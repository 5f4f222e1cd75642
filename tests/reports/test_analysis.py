"""Growth, spread and limits of synthetic rows, and the words for them."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from compare.analysis.memory import AXES, growth, growth_word, limits
from compare.analysis.times import spreads
from compare.schema.records import Measurement, Row
from tests import samples
from tests.reports.rendered import page, pair, part, printed
from tests.samples import EAGER, JAX, measurement, problem


def memory_rows() -> list[Row]:
    """Peaks exactly quadratic in seq_len, linear in batch, constant in d_model; saved linear in all three."""
    return [
        measurement(problem(seq_len, head_dim, batch), passes=("forward",), saved_bytes=24 * seq_len * head_dim * batch)
        for seq_len in (256, 512, 1024)
        for head_dim in (16, 64)
        for batch in (1, 4)
    ]


def test_exponents_are_recovered() -> None:
    rows = [row for row in memory_rows() if isinstance(row, Measurement)]
    for axis in AXES:
        fit = growth(JAX, "saved", axis, rows)
        assert fit.exponent == pytest.approx(1.0)
        assert fit.local == pytest.approx(1.0)
        assert fit.points == 12
    assert growth(JAX, "saved", "seq_len", rows).between == (512, 1024)
    quadratic = [measurement(problem(n, 0), passes=("backward",)) for n in (256, 512, 1024)]
    assert growth(JAX, "backward peak", "seq_len", quadratic).exponent == pytest.approx(2.0)
    assert growth(JAX, "forward peak", "seq_len", quadratic).exponent is None


def test_the_local_exponent_is_nearer_to_the_quadratic_term() -> None:
    rows = [measurement(problem(n, 64)) for n in (64, 256, 1024, 4096)]
    fit = growth(JAX, "forward peak", "seq_len", rows)
    assert fit.exponent is not None
    assert fit.local is not None
    assert fit.exponent < fit.local < 2.0


def test_groups_that_differ_otherwise_do_not_bend_the_slope() -> None:
    rows = [measurement(problem(n, 64, batch)) for n, batch in ((256, 1), (512, 1), (512, 16), (1024, 16), (2048, 3))]
    fit = growth(JAX, "saved", "seq_len", rows)
    assert fit.exponent == pytest.approx(2.0)
    assert fit.points == 4


def test_two_ways_of_weighing_make_no_common_curve() -> None:
    """On a CPU small JAX cases are weighed by buffer assignment and large ones by resident growth."""
    rows = [measurement(problem(n), JAX) for n in (256, 512, 1024, 2048)]
    mixed = rows[:2] + [weighed_otherwise(row, 10) for row in rows[2:]]
    assert growth(JAX, "backward peak", "seq_len", mixed).exponent == pytest.approx(2.0)
    assert growth(JAX, "backward peak", "seq_len", mixed[1:3]).exponent is None


def weighed_otherwise(row: Measurement, factor: int) -> Measurement:
    passes = {
        name: replace(each, peak_bytes=each.peak_bytes * factor, peak_source="another")
        for name, each in row.passes.items()
    }
    return replace(row, passes=passes)


def test_one_value_gives_no_exponent() -> None:
    fit = growth(JAX, "saved", "batch", [measurement(problem(n)) for n in (256, 512)])
    assert (fit.exponent, fit.local, fit.points) == (None, None, 0)


@pytest.mark.parametrize(
    ("exponent", "word"),
    [(1.9, "quadratic"), (1.5, "between linear and quadratic"), (1.1, "linear"), (-0.1, "constant"), (-0.8, "falling")],
)
def test_words_follow_the_exponent(exponent: float, word: str) -> None:
    assert growth_word(exponent) == word


def test_the_report_says_quadratic_only_where_it_was_measured() -> None:
    assert "saved quadratic (2.00)" in part([measurement(problem(n)) for n in (256, 512)], "Memory analysis")
    linear = [measurement(problem(n), passes=("forward",), saved_bytes=n * 100) for n in (256, 512)]
    assert "saved linear (1.00)" in part(linear, "Memory analysis")
    assert "saved quadratic" not in part(linear, "Memory analysis")


def test_spread_is_over_agreeing_rows_and_has_a_median() -> None:
    rows: list[Row] = [measurement(problem(n), time_s=t) for n, t in ((256, 1e-3), (512, 2e-3), (1024, 9e-3))]
    rows.append(measurement(problem(2048), time_s=1e-9, agreement=samples.agreement(False)))
    forward = spreads(rows)[0]
    assert (forward.fastest_s, forward.median_s, forward.slowest_s) == pytest.approx((1e-3, 2e-3, 9e-3))
    assert forward.problems == 3
    assert forward.slowest == problem(1024)


def test_no_report_prints_a_mean() -> None:
    for text in (page(samples.nine_problems()), printed(samples.nine_problems(), 160)):
        assert not re.search(r"\bmean\b|\baverage time|\bavg\b", text, re.IGNORECASE)


def test_limits_name_the_smallest_misfit_and_its_sizes() -> None:
    rows: list[Row] = [measurement(problem(1024), EAGER), samples.out_of_memory(problem(16384))]
    rows += [samples.out_of_memory(problem(8192)), samples.skip(problem(64))]
    (limit,) = limits(rows)
    assert (limit.row.problem, limit.largest_fitting) == (problem(8192), problem(1024))
    assert (limit.predicted_bytes, limit.refused_bytes, limit.device_bytes) == (48 * 10**9, 16 * 2**30, 16 * 10**9)


def test_a_skip_for_memory_is_a_limit() -> None:
    (limit,) = limits([samples.skip(problem(), predicted_bytes=5, available_bytes=4)])
    assert (limit.predicted_bytes, limit.device_bytes, limit.largest_fitting) == (5, 4, None)


def test_no_out_of_memory_is_said_plainly() -> None:
    assert "Nothing ran out of memory" in part(pair(), "Out-of-memory analysis")
