"""FASTER, SLOWER, SAME, UNDECIDED: by hand, by simulation, and as they are said."""

from __future__ import annotations

from collections import Counter
from math import inf

import numpy as np
import pytest
from msgspec.structs import replace

from compare.analysis import kernels, times
from compare.machine.load import BUSY_MACHINE
from compare.schema.records import Measurement, Notice
from compare.stats import verdicts
from compare.stats.estimates import TARGET_HALF_WIDTH, Estimate, estimate, joined
from tests import samples


def around(median: float, low: float, high: float, rounds: int = 10) -> Estimate:
    return Estimate(median, low, high, rounds)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.991, 1.009, "SAME"),
        (0.99, 1.01, "SAME"),
        (0.991, 0.999, "SAME"),  # excludes 1, but a difference that does not matter takes precedence
        (1.001, 1.009, "SAME"),
        (0.90, 0.999, "FASTER"),
        (0.90, 1.0, "UNDECIDED"),
        (1.001, 1.2, "SLOWER"),
        (1.0, 1.2, "UNDECIDED"),
        (0.98, 1.005, "UNDECIDED"),
        (0.0, inf, "UNDECIDED"),
    ],
)
def test_the_four_words(low: float, high: float, word: str) -> None:
    assert verdicts.verdict(around(min(max(1.0, low), high), low, high), 0.01) == word


def test_same_within_moves_the_bounds() -> None:
    assert verdicts.verdict(around(1.03, 1.02, 1.04), 0.01) == "SLOWER"
    assert verdicts.verdict(around(1.03, 1.02, 1.04), 0.05) == "SAME"


def test_more_rounds_by_the_root() -> None:
    """2% off, known to 4%: half the interval, so four times the rounds."""
    unsure = around(1.02, 0.98, 1.06)
    assert verdicts.times_more_rounds(unsure, 0.01) == pytest.approx(4.0)
    assert verdicts.advice(unsure, 0.01) == "about 40 rounds in place of 10 (a larger --budget or --samples)"


def test_at_no_difference_the_bounds_of_same_decide() -> None:
    assert verdicts.times_more_rounds(around(1.0, 0.98, 1.02), 0.01) == pytest.approx(4.0)


def test_where_patience_does_not_help_a_quieter_machine_is_advised() -> None:
    assert "quieter machine" in verdicts.advice(around(1.0, 0.8, 1.2), 0.01)
    assert "too few" in verdicts.advice(around(1.0, 0.0, inf, rounds=5), 0.01)


def test_where_the_processes_make_up_the_interval_no_rounds_are_advised() -> None:
    parts = [Estimate(each, each * 0.999, each * 1.001, 30) for each in (0.98, 0.99, 1.0, 1.01, 1.03)]
    spread = joined(parts)
    assert verdicts.verdict(spread, 0.01) == "UNDECIDED"
    assert "--processes" in verdicts.advice(spread, 0.01)
    rough = joined([Estimate(each, each * 0.9, each * 1.1, 30) for each in (1.0, 1.0, 1.001, 1.001, 1.0)])
    assert "--processes" not in verdicts.advice(rough, 0.01)


@pytest.mark.parametrize(
    ("by_process", "helps"),
    [
        ((0.96, 1.05), "--processes"),  # rounds would end within 1% of 1, where neither process is
        ((1.003, 1.005), "--budget"),
        ((), "--budget"),
    ],
)
def test_rounds_are_advised_only_where_they_could_decide(by_process: tuple[float, ...], helps: str) -> None:
    assert helps in verdicts.advice(Estimate(1.004, 0.996, 1.012, 60, by_process), 0.01)


@pytest.mark.parametrize(
    ("relative", "why"),
    [
        (Estimate(1.009, 1.007, 1.0098, 60, (1.006, 1.012)), "processes differ too much"),
        (Estimate(1.02, 1.01, 1.03, 60, (0.98, 1.06)), "processes differ too much"),
        (Estimate(1.0, 0.98, 1.03, 60, (0.98, 1.06)), "interval of the ratio contains 1"),
        (Estimate(1.0, 0.98, 1.03, 60), "interval of the ratio contains 1"),
    ],
)
def test_the_undecided_say_whether_rounds_or_processes_are_in_the_way(relative: Estimate, why: str) -> None:
    row = samples.measurement(samples.problem(), samples.JAX)
    [found, *_] = times.compared([row, samples.measurement(samples.problem(), samples.EAGER)], 0.01)
    each = replace(found, ratio=relative, verdict=verdicts.verdict(relative, 0.01))
    assert each.verdict == "UNDECIDED"
    assert why in kernels.sentence(each, row, row, "op")


def test_a_verdict_that_the_wall_clock_turns_round_is_shown() -> None:
    fast, slow = (
        samples.measurement(samples.problem(), samples.JAX),
        samples.measurement(samples.problem(), samples.EAGER),
    )
    slow = slower_by(slow, fast, 1.5)
    [*_, step] = times.compared([fast, slow], 0.01)
    assert not step.wall_disagrees
    passes = {
        name: replace(result, wall_s=tuple(each * 0.5 for each in fast.passes[name].wall_s))
        for name, result in slow.passes.items()
    }
    found = times.compared([fast, replace(slow, passes=passes)], 0.01)
    assert [each.wall_disagrees for each in found] == [True] * 3
    split = replace(found[0], wall=Estimate(0.95, 0.94, 0.96, 60, (0.88, 1.03)))
    assert not split.wall_disagrees  # by the wall, one of the processes says the same
    lines = times.wall_lines([*found, *found])
    assert lines[0].endswith("SLOWER by device time (1.50x ±0.0%), FASTER by wall-clock time (0.50x ±0.0%)")
    assert lines[3:] == ["3 more reversals"]


def trial(random: np.random.Generator, slowdown: float, scatter: float) -> str:
    """Samples as a run takes them: six rounds, then more until the interval is narrow or forty are done."""
    found: list[float] = []
    while len(found) < 40:
        found.append(slowdown * float(np.exp(scatter * random.standard_t(3))))
        relative = estimate(found)
        if relative.half_width <= TARGET_HALF_WIDTH:
            break
    return verdicts.verdict(relative, 0.01)


@pytest.mark.parametrize("scatter", [0.003, 0.01, 0.03])
def test_simulated_equals_are_seldom_told_apart(scatter: float) -> None:
    """Heavy-tailed noise and stopping as in a run: 8% is asked for, and a test on means would be far above it."""
    random = np.random.default_rng(1)
    tally = Counter(trial(random, 1.0, scatter) for _ in range(300))
    assert tally["FASTER"] + tally["SLOWER"] <= 0.08 * 300


@pytest.mark.parametrize("slowdown", [1.05, 1.1])
def test_simulated_slowdowns_are_found(slowdown: float) -> None:
    random = np.random.default_rng(2)
    tally = Counter(trial(random, slowdown, 0.03) for _ in range(300))
    assert tally["SLOWER"] >= 0.95 * 300
    assert not tally["FASTER"]


def test_a_slower_contender_is_slower_and_the_reference_has_no_verdict() -> None:
    fast, slow = (
        samples.measurement(samples.problem(), samples.JAX),
        samples.measurement(samples.problem(), samples.EAGER),
    )
    rows = [fast, slower_by(slow, fast, 1.5)]
    found = times.compared(rows, 0.01)
    assert {(each.contender, each.pass_name, each.verdict) for each in found} == {
        (samples.EAGER, name, "SLOWER") for name in fast.passes
    }
    assert times.counts(found)[samples.EAGER, "step"] == Counter({"SLOWER": 1})


def slower_by(row: Measurement, reference: Measurement, factor: float) -> Measurement:
    passes = {
        name: replace(result, device_s=tuple(each * factor for each in reference.passes[name].device_s))
        for name, result in row.passes.items()
    }
    return replace(row, passes=passes)


@pytest.mark.parametrize(
    ("by_process", "expected"),
    [
        ((0.998, 1.004), "SAME"),
        ((0.97, 1.03), "UNDECIDED"),  # their mean is 1, and neither is
        ((1.0, 1.02), "UNDECIDED"),
    ],
)
def test_processes_that_differ_are_not_the_same(by_process: tuple[float, ...], expected: str) -> None:
    relative = Estimate(1.0, 0.999, 1.001, 60, by_process)
    assert verdicts.verdict(relative, 0.01) == expected
    assert ("those that ran differ" in verdicts.advice(relative, 0.01)) == (expected == "UNDECIDED")


@pytest.mark.parametrize(("by_process", "expected"), [((0.9, 0.95), "FASTER"), ((0.8, 1.1), "UNDECIDED")])
def test_a_winner_wins_in_every_process(by_process: tuple[float, ...], expected: str) -> None:
    assert verdicts.verdict(Estimate(0.93, 0.92, 0.94, 60, by_process), 0.01) == expected
    mirrored = tuple(1 / each for each in by_process)
    assert verdicts.verdict(Estimate(1 / 0.93, 1.05, 1.09, 60, mirrored), 0.01) == expected.replace("FASTER", "SLOWER")


def test_a_small_difference_between_two_processes_on_a_cpu_is_cautioned() -> None:
    near, far, same = around(1.02, 1.01, 1.03), around(1.5, 1.4, 1.6), around(1.0, 0.995, 1.005)
    plain, other = samples.problem(), samples.EAGER
    found = [
        times.Compared(plain, other, samples.JAX, "step", each, verdicts.verdict(each, 0.01), each)
        for each in (near, far, same)
    ]
    settings = replace(samples.run().settings, device="cpu")
    [line] = times.cautions(found, settings)
    assert line.startswith("1 verdict of FASTER or SLOWER within 3% of 1")
    assert times.cautions(found, replace(settings, processes=5)) == []
    assert times.cautions(found, replace(settings, device="gpu")) == []
    within = [replace(each, reference=replace(samples.EAGER, mode="compile")) for each in found]
    assert times.cautions(within, settings) == []  # one process
    assert times.cautions(within, replace(settings, workers="contender")) != []


def test_a_busy_machine_bears_no_verdict_however_clear_the_ratio() -> None:
    """Beside a test suite eager PyTorch once read 18.8 times as slow as it is: no interval holds such a thing."""
    where = samples.problem(1024)
    reference, slow = samples.measurement(where), samples.measurement(where, samples.EAGER, 9e-3)
    noticed = (Notice(code=BUSY_MACHINE, text="others"),)
    for rows in ((reference, replace(slow, warnings=noticed)), (replace(reference, warnings=noticed), slow)):
        found = times.compared(rows, 0.01)
        assert {each.verdict for each in found} == {"UNDECIDED"}
        assert "idle machine" in verdicts.advice(found[0].ratio, 0.01)
    assert {each.verdict for each in times.compared((reference, slow), 0.01)} == {"SLOWER"}
