"""The cost ladder, and when compiling has paid for itself."""

from __future__ import annotations

import pytest

from compare.analysis.startup import ladders
from compare.render import markdown_costs
from compare.schema.records import PASSES, Contender, Cost
from tests import samples
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

NOTHING = {name: Cost(trace_s=0.0, compile_s=0.0, first_call_s=0.03) for name in PASSES}
WARM = {name: Cost(trace_s=0.01, compile_s=0.004, first_call_s=0.002) for name in PASSES}
REPORTS = samples.run().backends
ROWS = [
    measurement(problem(16), JAX, 4e-3, warm_costs=WARM),
    measurement(problem(16), EAGER, 2e-3, costs=NOTHING),
    measurement(problem(16), COMPILE, 1e-3, warm_costs=WARM),
    measurement(problem(32), COMPILE, 1e-3),
]


def test_only_problems_with_warm_costs_have_a_ladder() -> None:
    found = ladders(ROWS, REPORTS)
    assert {each.problem for each in found} == {problem(16)}
    assert [each.contender for each in found] == [each for each in (JAX, EAGER, COMPILE) for _ in PASSES]
    assert found[0].import_s == REPORTS[0].import_s
    assert found[0].warm == WARM["forward"]


def test_dispatch_is_what_wall_time_holds_beside_device_time() -> None:
    assert ladders(ROWS, REPORTS)[0].dispatch_s == pytest.approx(4e-3 * 0.1 + 2e-5)


def test_compiling_pays_after_what_it_cost_over_what_a_call_gains() -> None:
    jax, _, _, eager, _, _, compiled, _, _ = ladders(ROWS, REPORTS)
    assert (compiled.against, eager.against) == (EAGER, None)
    assert compiled.pays_after == pytest.approx((0.01 + 0.2) / (1e-3 * 1.1))
    assert jax.against == EAGER
    assert jax.pays_after is None  # it is slower


def test_a_compiler_that_another_contender_warmed_is_named_and_never_pays() -> None:
    graph = Contender(backend="torch", variant="naive", mode="graph")
    found = ladders([*ROWS[:3], measurement(problem(16), graph, 5e-4, warm_costs=WARM)], REPORTS)
    assert [(each.contender, each.after) for each in found if each.after] == [(graph, COMPILE)] * 3
    assert {each.against for each in found if each.contender == graph} == {None}
    text = markdown_costs.ladder([*ROWS[:3], measurement(problem(16), graph, 5e-4, warm_costs=WARM)], REPORTS)
    assert "| `torch:naive:graph`, after `torch:naive:compile` | forward |" in text


def test_against_wrong_numbers_nothing_pays() -> None:
    wrong = measurement(problem(16), EAGER, 2e-3, costs=NOTHING, agreement=samples.agreement(False))
    assert {each.against for each in ladders([ROWS[0], wrong], REPORTS)} == {None}


def test_the_report_shows_the_rungs() -> None:
    text = markdown_costs.ladder(ROWS, REPORTS)
    assert "| `torch:naive:compile` | forward |" in text
    assert "1.12 ms ±0.0% |" in text  # a steady call
    assert "about 190 calls, against `torch:naive:eager`" in text
    assert "never: calls of `torch:naive:eager` are no slower" in text
    assert markdown_costs.ladder(ROWS[3:], REPORTS) == ""


def test_streams_are_shown_beside_single_calls() -> None:
    row = measurement(problem(16), JAX, 1e-3, streams={"forward": (1.05e-3,) * 7})
    text = markdown_costs.launching([row])
    assert "| `jax:naive:jit` | forward | 1.00 ±0.0% | 1.12 ±0.0% | 1.05 ±0.0% | – |" in text
    assert markdown_costs.launching(ROWS) == ""
