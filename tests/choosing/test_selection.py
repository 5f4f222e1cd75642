"""Whom to take: the right one, nobody where nobody is certain, and only what can be compared."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from compare.analysis.mix import Goal
from compare.analysis.recommend import Choice, Job, choice, choices
from compare.profile.kinds import NOT_NAIVE
from compare.schema.records import Contender, Measurement, Notice, Problem, Row
from tests.choosing.rows import FUSED, noisy, steady
from tests.samples import COMPILE, EAGER, JAX, agreement, out_of_memory, problem, run, skip

SHORT, LONG = problem(256), problem(4096)
SETTINGS = replace(run().settings, device="gpu")
AGAIN = replace(EAGER, entrant=2)


def chosen(*rows: Row, goal: Goal = "training", limit: int | None = None, **settings: Any) -> Choice:
    mix = dict.fromkeys((row.problem for row in rows), 1.0)
    return choice(rows, Job(mix, goal, replace(SETTINGS, **settings), limit))


def winner(found: Choice) -> Contender | None:
    return found.winner.contender if found.winner else None


def weighed(short: float, long: float) -> Contender | None:
    """JAX is twice as fast on the short problem, PyTorch on the long one."""
    rows = [steady(SHORT, JAX, 1e-3), steady(SHORT, EAGER, 2e-3), steady(LONG, JAX, 2e-2), steady(LONG, EAGER, 1e-2)]
    return winner(choice(rows, Job({SHORT: short, LONG: long}, "latency", SETTINGS)))


def test_the_mix_decides() -> None:
    assert (weighed(1, 1), weighed(1000, 1), weighed(11, 1), weighed(9, 1)) == (
        EAGER,
        JAX,
        JAX,
        EAGER,
    )
    assert weighed(10, 1) is None  # a job to which both are the same


def test_the_leader_stands_first_with_ratios_of_the_others_to_it() -> None:
    found = chosen(steady(LONG, JAX, 3e-3), steady(LONG, EAGER, 1e-3), steady(LONG, COMPILE, 2e-3))
    assert [each.contender for each in found.standings] == [EAGER, COMPILE, JAX]
    assert [each.ratio and each.ratio.median for each in found.standings[1:]] == pytest.approx([2.0, 3.0])
    assert [each.verdict for each in found.standings] == [None, "SLOWER", "SLOWER"]
    assert (winner(found), [each.contender for each in found.level]) == (EAGER, [EAGER])


@pytest.mark.parametrize("tied", [2, 3])
def test_of_equals_none_is_named_more_often_than_an_interval_promises(tied: int) -> None:
    chance, trials, named = random.Random(tied), 300, 0
    contenders = (JAX, EAGER, COMPILE)[:tied]
    for _ in range(trials):
        rows = [noisy(where, each, 1e-3, chance) for where in (SHORT, LONG) for each in contenders]
        named += chosen(*rows, same_within=1e-6).winner is not None
    assert named / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_what_is_faster_for_certain_is_named() -> None:
    chance = random.Random(1)
    found = [
        winner(chosen(*(noisy(where, each, time_s, chance) for where in (SHORT, LONG) for each, time_s in
                        ((JAX, 1.1e-3), (EAGER, 1e-3), (COMPILE, 1.5e-3)))))
        for _ in range(50)
    ]  # fmt: skip
    assert found.count(EAGER) >= 48
    assert JAX not in found


def test_a_difference_that_does_not_matter_names_nobody() -> None:
    found = chosen(steady(LONG, JAX, 1e-3), steady(LONG, EAGER, 1.005e-3), steady(LONG, COMPILE, 2e-3))
    assert winner(found) is None
    assert [each.verdict for each in found.level] == [None, "SAME"]


def test_one_contender_alone_is_no_winner() -> None:
    found = chosen(steady(LONG))
    assert (winner(found), len(found.standings)) == (None, 1)


def test_on_a_cpu_a_small_difference_between_two_processes_names_nobody() -> None:
    near = [steady(LONG, JAX, 1.02e-3), steady(LONG, EAGER, 1e-3)]
    assert winner(chosen(*near)) == EAGER
    assert chosen(*near, device="cpu").standings[1].verdict == "UNDECIDED"
    assert winner(chosen(*near, device="cpu", processes=5)) == EAGER
    same = [steady(LONG, COMPILE, 1.02e-3), near[1]]  # one process of PyTorch holds both
    assert winner(chosen(*same, device="cpu")) == EAGER
    assert winner(chosen(*same, device="cpu", workers="contender")) is None


def test_a_busy_machine_names_nobody() -> None:
    busy = (Notice(code="busy-machine", text="other processes"),)
    found = chosen(steady(LONG, JAX, 5e-3, warnings=busy), steady(LONG, EAGER, 1e-3))
    assert found.standings[1].verdict == "UNDECIDED"


def test_processes_that_disagree_name_nobody() -> None:
    def twice(first: Measurement, second: float) -> Measurement:
        passes = {
            name: replace(each, repeats={2: replace(each, device_s=tuple(s * second for s in each.device_s))})
            for name, each in first.passes.items()
        }
        return replace(first, passes=passes)

    rows = [twice(steady(LONG, JAX, 1e-3), 1.0), twice(steady(LONG, EAGER, 2e-3), 0.4)]
    assert chosen(*rows).standings[1].verdict == "UNDECIDED"
    assert winner(chosen(rows[0], twice(steady(LONG, EAGER, 2e-3), 0.9))) == JAX


FUSED_BY_COMPILER = (Notice(code=NOT_NAIVE, pass_name="forward", names=("fusion",)),)
OBJECTIONS: dict[str, tuple[Row | None, Goal, str]] = {
    "missing": (None, "latency", "was not measured"),
    "skipped": (skip(LONG, EAGER), "latency", "skip: cuDNN needs"),
    "out of memory": (out_of_memory(LONG, EAGER), "latency", "OOM in backward"),
    "wrong": (steady(LONG, EAGER, agreement=agreement(False)), "latency", "disagree"),
    "unjudged": (steady(LONG, EAGER, agreement=None), "latency", "not verified"),
    "without the pass": (steady(LONG, EAGER, passes=("step",)), "latency", "pass was not measured"),
    "without training": (steady(LONG, EAGER, passes=("forward",)), "training", "training was not measured"),
    "not naive": (steady(LONG, EAGER, warnings=FUSED_BY_COMPILER), "latency", "its compiler fused it"),
    "alone": (steady(LONG, EAGER, alone=True), "latency", "not in turns"),
}


@pytest.mark.parametrize("name", OBJECTIONS)
def test_what_cannot_be_compared_is_left_out_with_its_reason(name: str) -> None:
    row, goal, reason = OBJECTIONS[name]
    rows = [steady(SHORT, JAX), steady(LONG, JAX), steady(SHORT, EAGER, 1e-4), *([row] if row else [])]
    found = chosen(*rows, goal=goal)
    [left] = found.left_out
    assert (left.contender, left.problems) == (EAGER, (LONG,))
    assert reason in left.reason
    assert [each.contender for each in found.standings] == [JAX]


def test_a_pass_that_its_compiler_fused_stands_in_the_way_of_that_pass_alone() -> None:
    rows = [steady(LONG, JAX, warnings=FUSED_BY_COMPILER), steady(LONG, EAGER, 2e-3)]
    assert winner(chosen(*rows)) == JAX
    assert [each.contender for each in chosen(*rows, goal="latency").left_out] == [JAX]


def sized(row: Measurement, **peaks: int) -> Measurement:
    return replace(row, passes={name: replace(row.passes[name], peak_bytes=peak) for name, peak in peaks.items()})  # type: ignore[index]


def test_memory_is_the_peak_of_the_problem_that_needs_most_and_exact() -> None:
    rows = [sized(steady(SHORT, JAX), step=900), sized(steady(LONG, JAX), step=1000)]
    rows += [sized(steady(SHORT, EAGER, 9.0), step=10), sized(steady(LONG, EAGER, 9.0), step=1200)]
    found = chosen(*rows, goal="memory")
    assert [(each.contender, each.total.median) for each in found.standings] == [(JAX, 1000), (EAGER, 1200)]
    assert found.standings[1].ratio is not None
    assert found.standings[1].ratio.median == pytest.approx(1.2)
    assert winner(found) == JAX


def test_what_takes_no_memory_leads() -> None:
    rows = [sized(steady(LONG, JAX), step=0), sized(steady(LONG, EAGER), step=5), sized(steady(LONG, COMPILE), step=0)]
    assert [each.contender for each in chosen(*rows, goal="memory").level] == [JAX, COMPILE]


def test_a_backward_pass_by_itself_stands_on_what_was_saved_for_it() -> None:
    row = replace(sized(steady(LONG, JAX), forward=700, backward=500), saved_bytes=300)
    assert chosen(row, goal="memory").standings[0].total.median == 800
    assert chosen(row, goal="latency").standings[0].peak_bytes == 700


def test_a_memory_limit_leaves_out_what_is_over_it() -> None:
    rows = [sized(steady(LONG, JAX, 1e-3), step=1001), sized(steady(LONG, EAGER, 2e-3), step=1000)]
    assert winner(chosen(*rows)) == JAX
    found = chosen(*rows, limit=1000)
    assert [each.contender for each in found.standings] == [EAGER]
    assert [each.reason for each in found.left_out] == ["over the memory limit"]


def test_training_is_the_step_or_else_both_passes_of_a_round() -> None:
    rows = [steady(LONG, JAX, 1e-3), steady(LONG, JAX, 1e-3, passes=("forward", "backward"))]
    step, both = (chosen(row).standings[0].total for row in rows)
    assert (step.median, both.median) == (pytest.approx(1e-3, rel=1e-3), pytest.approx(2e-3, rel=1e-3))
    assert both.rounds == step.rounds


def test_other_numbers_are_another_choice() -> None:
    half = replace(LONG, dtype="bfloat16", matmul_precision="default")
    fast = replace(LONG, matmul_precision="tf32")
    rows = [steady(where, each) for where in (LONG, half, fast) for each in (JAX, EAGER)]
    found = choices(rows, Job(dict.fromkeys((LONG, half, fast), 1.0), "latency", SETTINGS))
    assert [each.precision for each in found] == ["float32 ieee", "bfloat16", "float32 tf32"]


def test_compiling_pays_after_as_many_calls_as_make_it_good_by_the_wall() -> None:
    eager, compiled = steady(LONG, EAGER, 3e-3, wall=1.0, costs={}), steady(LONG, FUSED, 1e-3, wall=1.0)
    [first, second] = chosen(eager, compiled).standings
    cost = compiled.costs["step"]
    assert (first.contender, first.against, second.against) == (FUSED, EAGER, None)
    assert first.compile_s == pytest.approx(cost.trace_s + cost.compile_s)
    assert first.pays_after == pytest.approx(first.compile_s / 2e-3, rel=0.01)
    slower = steady(LONG, FUSED, 5e-3, wall=1.0)
    assert chosen(eager, slower).standings[1].pays_after is None


def test_a_step_without_a_program_of_its_own_has_compiled_that_of_the_backward_pass() -> None:
    row = steady(LONG, FUSED)
    costs = row.costs | {"step": replace(row.costs["step"], trace_s=0.0, compile_s=0.0)}
    costs |= {"backward": replace(row.costs["backward"], trace_s=1.0, compile_s=4.0)}
    assert chosen(replace(row, costs=costs)).standings[0].compile_s == 5.0
    assert chosen(replace(row, costs=costs), goal="latency").standings[0].compile_s == pytest.approx(0.21)


def test_what_another_contender_had_compiled_before_leaves_the_question_open() -> None:
    found = chosen(steady(LONG, EAGER, 3e-3, costs={}), steady(LONG, COMPILE, 2e-3), steady(LONG, FUSED, 1e-3))
    assert [(each.contender, each.after) for each in found.standings] == [
        (FUSED, COMPILE),
        (COMPILE, None),
        (EAGER, None),
    ]
    assert found.standings[0].against is None


def test_the_same_contender_twice_is_no_choice() -> None:
    found = chosen(steady(LONG, EAGER), steady(LONG, AGAIN))
    assert (winner(found), len(found.level)) == (None, 2)


def test_the_wall_clock_stands_beside() -> None:
    found = chosen(steady(LONG, JAX, 1e-3, wall=10.0), steady(LONG, EAGER, 2e-3, wall=1.0))
    assert found.standings[1].wall is not None
    assert found.standings[1].wall.median == pytest.approx(0.2, rel=0.01)


def test_problems_outside_the_mix_do_not_count() -> None:
    far: Problem = problem(128)
    rows = [steady(far, JAX, 9.0), steady(LONG, JAX, 1e-3), steady(LONG, EAGER, 2e-3)]
    assert winner(choice(rows, Job({LONG: 1.0}, "latency", SETTINGS))) == JAX


@pytest.mark.parametrize(("goal", "told"), [("latency", "forward.out"), ("training", "step.dv")])
def test_the_error_that_is_told_is_of_what_the_job_runs(goal: Goal, told: str) -> None:
    known = agreement()
    near = {"forward.out": 1e-9, "step.out": 2e-9, "step.dv": 9e-9, "backward.dv": 8e-9}
    tensors = tuple(replace(known.tensors[0], tensor=name, max_error=error) for name, error in near.items())
    row = steady(LONG, agreement=replace(known, tensors=tensors))
    [only] = chosen(row, goal=goal).standings
    assert only.worst
    assert only.worst.tensor == told
