"""Startup cost, and after how many calls compiling breaks even."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from compare.analysis import startup
from compare.analysis.startup import startups
from compare.render.markdown import drawn
from compare.schema.records import PASSES, Contender, Cost, Row
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


def part(rows: Sequence[Row], title: str) -> str:
    """A section as Markdown, empty where it is left out."""
    found = startup.sections(samples.run(), rows)
    return "".join(drawn([section for section in found if section.title == title]))


def test_only_problems_with_warm_costs_have_a_startup_cost() -> None:
    found = startups(ROWS, REPORTS)
    assert {each.problem for each in found} == {problem(16)}
    assert [each.contender for each in found] == [each for each in (JAX, EAGER, COMPILE) for _ in PASSES]
    assert found[0].import_s == REPORTS[0].import_s
    assert found[0].warm == WARM["forward"]


def test_dispatch_is_what_wall_time_holds_beside_device_time() -> None:
    assert startups(ROWS, REPORTS)[0].dispatch_s == pytest.approx(4e-3 * 0.1 + 2e-5)


def test_compiling_breaks_even_after_what_it_cost_over_what_a_call_gains() -> None:
    jax, _, _, eager, _, _, compiled, _, _ = startups(ROWS, REPORTS)
    assert (compiled.against, eager.against) == (EAGER, None)
    assert compiled.break_even == pytest.approx((0.01 + 0.2) / (1e-3 * 1.1))
    assert jax.against == EAGER
    assert jax.break_even is None  # it is slower


def test_a_compiler_that_another_contender_warmed_is_named_and_never_breaks_even() -> None:
    graph = Contender(backend="torch", variant="naive", mode="graph")
    found = startups([*ROWS[:3], measurement(problem(16), graph, 5e-4, warm_costs=WARM)], REPORTS)
    assert [(each.contender, each.after) for each in found if each.after] == [(graph, COMPILE)] * 3
    assert {each.against for each in found if each.contender == graph} == {None}
    text = part([*ROWS[:3], measurement(problem(16), graph, 5e-4, warm_costs=WARM)], "Startup cost")
    assert "| `torch:naive:graph`, after `torch:naive:compile` | forward |" in text


def test_against_wrong_numbers_nothing_breaks_even() -> None:
    wrong = measurement(problem(16), EAGER, 2e-3, costs=NOTHING, agreement=samples.agreement(False))
    assert {each.against for each in startups([ROWS[0], wrong], REPORTS)} == {None}


def test_the_report_shows_every_part() -> None:
    text = part(ROWS, "Startup cost")
    assert "| `torch:naive:compile` | forward |" in text
    assert "1.12 ms ±0.0% |" in text  # a steady call
    assert "about 190 calls, against `torch:naive:eager`" in text
    assert "never: calls of `torch:naive:eager` are no slower" in text
    assert part(ROWS[3:], "Startup cost") == ""


def test_streams_are_shown_beside_single_calls() -> None:
    row = measurement(problem(16), JAX, 1e-3, streams={"forward": (1.05e-3,) * 7})
    text = part([row], "Launch cost")
    assert "| `jax:naive:jit` | forward | 1.00 ±0.0% | 1.12 ±0.0% | 1.05 ±0.0% | – |" in text
    assert part(ROWS, "Launch cost") == ""
