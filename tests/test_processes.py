"""Several processes: their estimates joined, their rows joined."""

from __future__ import annotations

from math import exp, inf, log, sqrt
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import t as student

from compare.analysis.notices import worded
from compare.analysis.times import compared
from compare.results import rows as processes
from compare.schema.records import Measurement, MemoryCurve, Notice
from compare.stats.estimates import Estimate, device_time, joined, paired_ratio, ratio
from tests import samples
from tests.samples import EAGER, JAX, measurement, problem

WHERE = problem(16)


def part(median: float, arm: float = 1.02) -> Estimate:
    return Estimate(median, median / arm, median * arm, 10)


def test_one_process_is_itself() -> None:
    assert joined([part(2.0)]) == part(2.0)


def test_two_processes_are_their_geometric_mean_and_a_narrower_interval() -> None:
    found = joined([part(1.0), part(4.0)])
    assert found.median == pytest.approx(2.0)
    assert found.high == pytest.approx(2.0 * 1.02 ** (1 / sqrt(2)))
    assert found.low == pytest.approx(2.0 / 1.02 ** (1 / sqrt(2)))
    assert (found.rounds, found.by_process) == (20, (1.0, 4.0))


def test_from_five_processes_on_their_spread_widens_the_interval() -> None:
    medians = [1.0, 1.1, 0.9, 1.05, 0.95]
    four, five = joined([part(each, 1.0001) for each in medians[:4]]), joined([part(each, 1.0001) for each in medians])
    assert four.high / four.median < 1.001
    logs = [log(each) for each in medians]
    arm = student.ppf(0.975, 4) * stdev(logs) / sqrt(5)
    assert five.high == pytest.approx(exp(fmean(logs) + arm))
    assert five.low == pytest.approx(exp(fmean(logs) - arm))


def test_processes_that_agree_better_than_their_rounds_do_not_narrow_it() -> None:
    assert joined([part(1.0)] * 6).high == pytest.approx(1.02 ** (1 / sqrt(6)))


def test_a_process_with_too_few_rounds_leaves_no_interval() -> None:
    found = joined([part(1.0), Estimate(4.0, 0.0, inf, 3)])
    assert (found.median, found.low, found.high) == (pytest.approx(2.0), 0.0, inf)


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=8))
def test_the_joined_estimate_lies_among_the_processes_and_in_its_interval(medians: list[float]) -> None:
    found = joined([part(each) for each in medians])
    assert min(medians) * 0.999 <= found.median <= max(medians) * 1.001
    assert found.low <= found.median <= found.high


def in_process(number: int, contender: object = JAX, time_s: float = 1e-3, **other: object) -> Measurement:
    return measurement(WHERE, contender, time_s, process=number, **other)  # type: ignore[arg-type]


def test_rows_of_one_case_become_one() -> None:
    rows = [in_process(1), in_process(1, EAGER, 2e-3), in_process(2, JAX, 2e-3), in_process(2, EAGER, 6e-3)]
    jax, eager = processes.joined(rows)
    assert isinstance(jax, Measurement)
    assert isinstance(eager, Measurement)
    assert device_time(jax.passes["forward"]).by_process == (1e-3, 2e-3)
    relative = paired_ratio(eager.passes["forward"], jax.passes["forward"])
    assert relative.by_process == pytest.approx((2.0, 3.0))
    assert relative.median == pytest.approx(sqrt(6))
    assert {each.ratio.by_process for each in compared([jax, eager], 0.01)} == {relative.by_process}


def test_ratios_are_formed_inside_a_process_even_when_one_of_them_is_lost() -> None:
    lost = replace(samples.out_of_memory(WHERE, EAGER), process=2)
    rows = [in_process(at, JAX, at * 1e-3) for at in (1, 2, 3)]
    rows += [in_process(1, EAGER, 1e-3), lost, in_process(3, EAGER, 3e-3)]  # type: ignore[list-item]
    jax, eager = processes.joined(rows)
    assert isinstance(jax, Measurement)
    assert isinstance(eager, Measurement)
    relative = paired_ratio(eager.passes["step"], jax.passes["step"])
    assert relative.by_process == pytest.approx((1.0, 1.0))
    [notice] = eager.warnings
    assert (notice.code, worded(notice)[:29]) == ("process-failed", "process 2: OOM in backward: C")


def test_a_row_that_had_the_device_to_itself_is_not_mixed_with_those_that_took_turns() -> None:
    alone = replace(in_process(2, EAGER, 9e-3), alone=True)
    fewer = {name: replace(result, device_s=result.device_s[:6]) for name, result in alone.passes.items()}
    rows = [in_process(1), in_process(1, EAGER, 2e-3), in_process(2, JAX, 2e-3), replace(alone, passes=fewer)]
    jax, eager = processes.joined(rows)
    relative = ratio(eager, jax, "forward")  # type: ignore[arg-type]
    assert relative
    assert (relative.median, relative.by_process) == (pytest.approx(2.0), ())
    [notice] = eager.warnings  # type: ignore[union-attr]
    assert worded(notice) == "process 2: measured alone, unlike in process 1"
    [lone] = processes.joined([replace(in_process(1), alone=True), in_process(2)])
    [notice] = lone.warnings  # type: ignore[union-attr]
    assert worded(notice) == "process 2: not measured alone, unlike in process 1"


def test_a_process_that_nobody_judged_stands_apart() -> None:
    [row] = processes.joined([in_process(1), in_process(2, agreement=None)])
    assert isinstance(row, Measurement)
    assert [worded(each) for each in row.warnings] == ["process 2: its numbers were not verified"]
    assert not row.passes["forward"].repeats


def test_a_disagreement_in_any_process_is_the_rows() -> None:
    [row] = processes.joined([in_process(1), in_process(2, agreement=samples.agreement(False))])
    assert isinstance(row, Measurement)
    assert row.agreement is not None
    assert not row.agreement.agrees


def test_peaks_are_the_highest_and_warnings_are_said_once() -> None:
    noted = (Notice(code="drift", text="moved"),)
    first, second = in_process(1, warnings=noted), in_process(2, warnings=noted)
    curve = MemoryCurve(reason="of the second process")
    larger = {
        name: replace(each, peak_bytes=each.peak_bytes * 3, memory_over_time=curve)
        for name, each in second.passes.items()
    }
    [row] = processes.joined([first, replace(second, passes=larger)])
    assert isinstance(row, Measurement)
    assert row.passes["step"].peak_bytes == 3 * first.passes["step"].peak_bytes
    assert row.passes["step"].memory_over_time == curve
    assert row.warnings == noted


def test_what_the_first_process_could_not_measure_stays_so() -> None:
    lost = samples.out_of_memory(WHERE, EAGER)
    assert processes.joined([lost, in_process(1)]) == [in_process(1), lost]
