"""The verdict check: the rules of common protocols, and the requirements."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.verdict_check import checks, rules, trials
from benchmarks.verdict_check.trials import OURS, Trial
from benchmarks.verdict_check.wanted import EQUAL, PLANTED, Wanted
from compare.analysis.times import Compared
from compare.schema.records import Contender
from compare.stats.estimates import Estimate
from compare.stats.verdicts import Verdict
from tests.samples import EAGER, JAX, problem

STEADY = [1.0 + 0.001 * (at % 10) for at in range(100)]


def trial(called: str, ratio: float = 1.0, contender: Contender = EAGER, method: str = OURS) -> Trial:
    return Trial(
        method=method,
        workers="backend",
        problem=problem(16),
        contender=contender,
        pass_name="step",
        ratio=ratio,
        called=called,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("rule", [rules.means, rules.means_of_few, rules.quartiles, rules.quantiles, rules.figures])
def test_every_rule_sees_a_tenth_and_not_nothing(rule: rules.Rule) -> None:
    slower = [1.1 * each for each in STEADY]
    assert rule(STEADY, STEADY).called == "NEITHER"
    assert (rule(STEADY, slower).called, rule(slower, STEADY).called) == ("SLOWER", "FASTER")
    assert rule(STEADY, slower).ratio == pytest.approx(1.1)


def test_means_of_a_drifting_machine_call_equals_different_and_ranges_do_not() -> None:
    noise = np.random.default_rng(0).normal(1.0, 0.02, 2000)
    first, second = noise[:1000], noise[1000:] * 1.01  # one block after the other, and the machine moved by 1%
    assert rules.means(first, second).called == "SLOWER"
    assert rules.quartiles(first, second).called == "NEITHER"


def test_few_is_the_first_fifty() -> None:
    late = STEADY[: rules.FEW_CALLS] + [9.0] * 50
    assert rules.means_of_few(STEADY, late) == rules.means_of_few(STEADY, STEADY[: rules.FEW_CALLS])


@pytest.mark.parametrize(("wrong", "met"), [(16, True), (17, False)])
def test_sixteen_of_two_hundred_equals_may_be_called_different(wrong: int, met: bool) -> None:
    found = [trial("SLOWER")] * wrong + [trial("NEITHER")] * (200 - wrong)
    other = [trial("SLOWER", method="mean and std")] * 200
    assert [each.met for each in trials.equal_requirements(found + other)] == [met, True]
    assert [each.met for each in trials.equal_requirements([trial("NEITHER", 1.0071)])] == [True, False]


@pytest.mark.parametrize(("called", "met"), [("SLOWER", True), ("NEITHER", False), ("FASTER", False)])
def test_nineteen_of_twenty_slow_downs_must_be_found_each_share_by_itself(called: str, met: bool) -> None:
    five, ten = (Contender(backend="torch", variant="naive", mode=f"eager+{share}") for share in (5, 10))
    found = [trial("SLOWER", contender=five)] * 18 + [trial("NEITHER", contender=five), trial(called, contender=five)]
    requirements = trials.planted_requirements([*found, *[trial("SLOWER", contender=ten)] * 20])
    assert [each.met for each in requirements] == [met, True]


def test_pairs_without_a_verdict_are_missed() -> None:
    assert trials.complete([trial("NEITHER")] * 3 + [trial("NEITHER", method="other")], 3).met
    assert not trials.complete([trial("NEITHER")] * 2, 3).met
    assert not trials.complete([], 3).met


def compared(verdict: Verdict, contender: Contender = EAGER) -> Compared:
    unsure = Estimate(1.0, 0.9, 1.1, 9)
    return Compared(problem(16), contender, JAX, "step", unsure, verdict, unsure)


def test_opposite_verdicts_of_two_runs_are_named() -> None:
    outcome = checks.repeated([compared("FASTER")], [compared("SLOWER")])
    assert not outcome.requirements[0].met
    assert outcome.notes == [f"opposite: {EAGER.name} step {problem(16).label}: FASTER, then SLOWER"]
    assert checks.repeated([compared("FASTER")], [compared("UNDECIDED")]).requirements[0].met
    assert not checks.repeated([compared("FASTER")], []).requirements[0].met  # nothing was compared


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_planted_shares_are_whole_rows_and_there_are_two_hundred_equal_pairs(device: str, tmp_path) -> None:
    wanted = Wanted(
        device=device,  # type: ignore[arg-type]
        budget_s=1.0,
        contenders=("jax:naive:jit", "torch:naive:eager", "torch:naive:compile"),
        passes=("forward", "backward", "step"),
        small=False,
        processes=None,
        program=True,
        baselines=False,
        out=tmp_path,
    )
    assert len(wanted.problems(EQUAL)) * 3 * 3 * 2 >= 200
    assert wanted.settings(EQUAL).budget_s == wanted.budget_s
    for each in wanted.problems(PLANTED):
        assert all(each.batch * share % 100 == 0 for share in (3, 5) if device == "gpu")
        assert all(each.batch * share % 100 == 0 for share in (5, 10) if device == "cpu")
