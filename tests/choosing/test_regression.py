"""What changed between two runs: planted changes are found, equal runs and the halves of one show none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.analysis import diff
from compare.analysis.diff import THRESHOLDS, Pair, changed, device_changes, pair, pairs
from compare.results import rows as processes
from compare.results.rows import FAILED
from compare.results.store import lines, read
from compare.schema.records import RESIDENT, Measurement, Notice, PassName, Row
from compare.stats.estimates import Estimate
from tests.choosing.rows import noisy, steady
from tests.samples import EAGER, JAX, agreement, out_of_memory, problem, skip

ROOT = Path(__file__).parents[2]
WHERE = problem(256)
SWAPPED = {"SLOWER": "FASTER", "FASTER": "SLOWER", "SAME": "SAME", "UNDECIDED": "UNDECIDED"}


def between(low: float, high: float, *by_process: float, busy: bool = False) -> Estimate:
    return Estimate((low * high) ** 0.5, low, high, 10, by_process, busy)


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        (between(1.04, 1.06), "SLOWER"),
        (between(1.02, 1.2), "UNDECIDED"),  # certainly slower, but perhaps by less than the threshold
        (between(1.005, 1.02), "SAME"),
        (between(0.98, 1.02), "SAME"),
        (between(0.9, 1.1), "UNDECIDED"),
        (between(0.9, 0.96), "FASTER"),
        (between(0.9, 0.99), "UNDECIDED"),
        (between(1.04, 1.06, 1.01, 1.09), "SLOWER"),
        (between(1.04, 1.06, 0.99, 1.11), "UNDECIDED"),  # one process of the new run was no slower
        (between(0.9, 0.96, 0.8, 1.01), "UNDECIDED"),
        (between(1.5, 1.6, busy=True), "UNDECIDED"),
        (Estimate(5.0, 0.0, float("inf"), 3), "UNDECIDED"),
    ],
)
def test_a_change_is_told_only_beyond_the_threshold(ratio: Estimate, word: str) -> None:
    assert changed(ratio, 0.03) == word


@given(st.floats(0.5, 2.0), st.floats(1.0, 1.3), st.floats(0.001, 0.2))
def test_the_other_way_round_it_is_the_opposite(middle: float, arm: float, threshold: float) -> None:
    ratio, turned = between(middle / arm, middle * arm), between(1 / middle / arm, 1 / middle * arm)
    edges = (1 + threshold, 1 / (1 + threshold))
    if all(abs(end - edge) > 1e-9 for end in (ratio.low, ratio.high) for edge in edges):
        assert changed(turned, threshold) == SWAPPED[changed(ratio, threshold)]


def words(found: Pair) -> dict[PassName, str]:
    return {name: time.verdict for name, time in found.times.items()}


def test_the_same_row_has_not_changed() -> None:
    found = pair(steady(WHERE), steady(WHERE), 0.001)
    assert set(words(found).values()) == {"SAME"}
    assert {size.growth for size in found.sizes.values()} == {"SAME"}
    assert (found.kinds, found.reason) == (set(), "")


def test_equal_runs_are_seldom_told_apart_and_planted_changes_are_found() -> None:
    chance, trials = random.Random(0), 150
    before = [noisy(WHERE, JAX, 1e-3, chance) for _ in range(trials)]
    equal = [pair(row, noisy(WHERE, JAX, 1e-3, chance), 0.001) for row in before]
    slower = [pair(row, noisy(WHERE, JAX, 1.15e-3, chance), 0.03) for row in before]
    told = sum(found.times["step"].verdict in ("SLOWER", "FASTER") for found in equal)
    assert told / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
    assert sum(found.times["step"].verdict == "SLOWER" for found in slower) >= 0.95 * trials


def test_slower_faster_and_their_kinds() -> None:
    assert words(pair(steady(WHERE), steady(WHERE, JAX, 1.1e-3), 0.05))["step"] == "SLOWER"
    assert pair(steady(WHERE), steady(WHERE, JAX, 1.1e-3), 0.05).kinds == {"slower"}
    assert pair(steady(WHERE), steady(WHERE, JAX, 1.04e-3), 0.05).kinds == set()
    faster = pair(steady(WHERE), steady(WHERE, JAX, 0.9e-3), 0.05)
    assert (words(faster)["forward"], faster.kinds) == ("FASTER", set())


def sized(peak: int, saved: int = 1000, **other: Any) -> Measurement:
    row = replace(steady(WHERE), saved_bytes=saved)
    return replace(row, passes={n: replace(each, peak_bytes=peak, **other) for n, each in row.passes.items()})


def test_more_memory_is_told_exactly_beyond_the_threshold() -> None:
    assert pair(sized(1000), sized(1030), 0.03).kinds == set()
    assert pair(sized(1000), sized(1031), 0.03).kinds == {"memory"}
    assert pair(sized(1000), sized(900), 0.03).sizes["step peak"].growth == "LESS"
    assert pair(sized(1000), sized(1000, saved=1031), 0.03).sizes["saved"].growth == "MORE"
    assert pair(sized(1000, saved=0), sized(1000, saved=1), 0.03).kinds == {"memory"}


def test_memory_is_held_against_what_was_counted_alike() -> None:
    """Resident memory varies by tens of percent from process to process; XLA's plan does not."""
    old, new = (sized(peak, peak_source=RESIDENT, buffer_bytes=10) for peak in (1000, 2000))
    assert pair(old, new, 0.03).sizes["step peak"].new == 10
    other = pair(sized(1000), sized(2000, peak_source="another way"), 0.03)
    assert set(other.sizes) == {"saved"}


GONE = Notice(code=FAILED, text="process 2: CRASH in step: gone")
LOST: dict[str, tuple[Row | None, Row | None, str | None, str]] = {
    "wrong now": (steady(WHERE), steady(WHERE, agreement=agreement(False)), "disagreement", "disagree"),
    "unjudged now": (steady(WHERE), steady(WHERE, agreement=None), None, "not verified"),
    "wrong before too": (
        steady(WHERE, agreement=agreement(False)),
        steady(WHERE, agreement=agreement(False)),
        None,
        "disagree",
    ),
    "right again": (steady(WHERE, agreement=agreement(False)), steady(WHERE), None, "agree now"),
    "out of memory now": (steady(WHERE, EAGER), out_of_memory(WHERE), "failing", "OOM in backward"),
    "skipped now": (steady(WHERE), skip(WHERE, JAX), "failing", "skip: cuDNN"),
    "skipped before too": (skip(WHERE, JAX), skip(WHERE, JAX), None, "skip: cuDNN"),
    "runs again": (out_of_memory(WHERE), steady(WHERE, EAGER), None, "runs now; before, OOM"),
    "missing": (steady(WHERE), None, "missing", "is missing"),
    "missing, and had failed": (skip(WHERE), None, None, "is missing"),
    "new": (None, steady(WHERE), None, "is new"),
    "alone now": (steady(WHERE), steady(WHERE, alone=True), None, "measured alone"),
    "failed in a process": (
        steady(WHERE),
        steady(WHERE, warnings=(GONE,)),
        "failing",
        "process 2: CRASH in step: gone",
    ),
    "failed in a process before too": (steady(WHERE, warnings=(GONE,)), steady(WHERE, warnings=(GONE,)), None, ""),
    "without a pass": (steady(WHERE), steady(WHERE, passes=("forward",)), "missing", "without backward, step"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_compared_says_why_and_is_lost_only_if_it_was_right_before(name: str) -> None:
    old, new, kind, reason = LOST[name]
    found = pair(old, new, 0.03)
    assert (found.lost, found.kinds) == (kind, {kind} if kind else set())
    assert reason in found.reason
    assert not found.times or name.startswith(("without a pass", "failed in a process"))


def test_a_busy_machine_decides_nothing() -> None:
    busy = (Notice(code="busy-machine", text="other processes"),)
    found = pair(steady(WHERE), steady(WHERE, JAX, 9e-3, warnings=busy), 0.03)
    assert set(words(found).values()) == {"UNDECIDED"}


def twice(first: Measurement, second: Measurement) -> Measurement:
    [row] = processes.joined([first, replace(second, process=2)])
    assert isinstance(row, Measurement)
    return row


def test_every_process_of_the_new_run_must_be_slower_than_every_one_of_the_old() -> None:
    old = twice(steady(WHERE, JAX, 1e-3), steady(WHERE, JAX, 1.01e-3))
    mixed = twice(steady(WHERE, JAX, 1e-3), steady(WHERE, JAX, 1.3e-3))  # one process found another kernel
    assert words(pair(old, mixed, 0.05))["step"] == "UNDECIDED"
    assert words(pair(old, twice(steady(WHERE, JAX, 1.2e-3), steady(WHERE, JAX, 1.3e-3)), 0.05))["step"] == "SLOWER"


def test_the_device_itself_may_have_changed() -> None:
    run, _ = read(ROOT / "results" / "h100" / "bfloat16" / "results.jsonl")
    slower = [replace(rate, copy_bytes_per_s=(rate.copy_bytes_per_s or 0) * 0.8) for rate in run.rates]
    assert run.rates
    assert device_changes(run.rates, run.rates, 0.01) == []
    found = device_changes(run.rates, slower, 0.03)
    assert {round(ratio, 6) for _, ratio in found} == {0.8}
    assert all(what.startswith("copies by ") for what, _ in found)


def kinds_of(old: list[Row], new: list[Row], threshold: float = THRESHOLDS["gpu"]) -> tuple[set[str], set[str]]:
    """Which times changed, and what got worse."""
    found = pairs(old, new, threshold)
    assert any(each.times for each in found)
    verdicts = {time.verdict for each in found for time in each.times.values()}
    return verdicts - {"SAME", "UNDECIDED"}, {kind for each in found for kind in each.kinds}


@pytest.mark.parametrize("name", ["cpu", "h100/bfloat16", "h100/sparse", "h200/bfloat16"])
def test_a_run_has_not_changed_against_itself(name: str) -> None:
    _, rows = read(ROOT / "results" / name / "results.jsonl")
    assert kinds_of(rows, rows, 0.001) == (set(), set())


def test_one_process_has_not_changed_against_the_other() -> None:
    _, rows = lines(ROOT / "results" / "h100" / "bfloat16" / "results.jsonl")
    first, second = ([replace(row, process=1) for row in rows if row.process == number] for number in (1, 2))
    assert len(first) == len(second) == 16
    assert kinds_of(first, second) == kinds_of(second, first) == (set(), set())


@pytest.mark.parametrize("name", ["jax-naive-jit", "torch-naive-compile", "torch-naive-eager"])
@pytest.mark.parametrize("seat", ["backend", "contender"])
def test_an_entrant_has_not_changed_against_its_twin(name: str, seat: str) -> None:
    _, rows = read(ROOT / "results" / "h100" / "aa" / f"{seat}-{name}.jsonl")
    first, second = (
        [replace(row, contender=replace(row.contender, entrant=1)) for row in rows if row.contender.entrant == number]
        for number in (1, 2)
    )
    assert kinds_of(first, second) == (set(), set())


@pytest.mark.parametrize("name", ["torch-naive-eager", "torch-naive-compile"])
def test_five_percent_more_work_on_a_gpu_is_found(name: str) -> None:
    """Compilers make other code for 105 rows than for 100, so not every pass is slower by five percent."""
    _, rows = read(ROOT / "results" / "h100" / "planted" / f"{name}.jsonl")
    plain = [row for row in rows if "+" not in row.contender.name]
    more = [replace(row, contender=plain[0].contender) for row in rows if row.contender.name.endswith("+5")]
    found = [time.verdict for each in pairs(plain, more, THRESHOLDS["gpu"]) for time in each.times.values()]
    assert found.count("SLOWER") >= 0.9 * len(found)
    assert "FASTER" not in found


def test_nobody_is_told_to_sample_a_busy_machine_longer() -> None:
    busy = (Notice(code="busy-machine", text="other processes"),)
    found = [pair(steady(WHERE), steady(WHERE, JAX, 9e-3, warnings=busy), 0.03)]
    said = {each.title: " ".join(each.sentences) for each in diff.sections(found, [], [], 0.03, False, "")}
    assert said["Undecided"] == diff.BUSY
