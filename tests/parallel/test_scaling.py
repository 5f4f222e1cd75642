"""Speed-up, efficiency and memory of several devices against one, in numbers and in the report."""

from __future__ import annotations

from msgspec.structs import replace

from compare.analysis.scaling import base_of, scaled
from compare.machine.load import BUSY_MACHINE
from compare.render import markdown
from compare.schema.records import Measurement, Notice, Problem
from tests import samples

ONE = samples.problem(q_len=64, kv_len=64)
TWO = replace(ONE, devices=2)


def row(problem: Problem, variant: str, time_s: float, backend: str = "torch") -> Measurement:
    contender = replace(samples.EAGER, variant=variant, backend=backend)
    found = samples.measurement(problem, contender)
    passes = {name: replace(each, device_s=(time_s,) * len(each.device_s)) for name, each in found.passes.items()}
    return replace(found, passes=passes)


def test_half_the_time_on_two_devices_is_all_that_they_can_do() -> None:
    rows = [row(ONE, "fused", 4e-3), row(ONE, "ring", 5e-3), row(TWO, "ring", 2e-3), row(TWO, "ulysses", 4e-3)]
    ring, ulysses = scaled(rows)
    assert (ring.base.contender.variant, ulysses.base.contender.variant) == ("fused", "fused")
    assert {round(each.median, 6) for each in ring.speed_up.values()} == {2.0}
    assert {round(each.median, 6) for each in ring.efficiency.values()} == {1.0}
    assert {round(each.median, 6) for each in ulysses.efficiency.values()} == {0.5}
    assert ring.peak == 1.0


def test_without_fused_it_is_the_same_variant_and_never_another_backend_or_problem() -> None:
    many = row(TWO, "ring", 1e-3)
    assert base_of(many, [row(ONE, "ring", 1e-3), many]) == row(ONE, "ring", 1e-3)
    others = [row(ONE, "ring", 1e-3, "jax"), row(replace(ONE, seed=9), "ring", 1e-3), row(ONE, "naive", 1e-3), many]
    assert base_of(many, others) is None
    assert scaled(others) == []


def test_the_report_says_what_it_is_worth_and_what_travels() -> None:
    rows = [row(ONE, "fused", 4e-3), row(TWO, "ring", 2e-3)]
    page = markdown.render(samples.run(), rows)
    [line] = [
        line
        for line in page.splitlines()
        if line.startswith("| B=") and "`torch:ring:eager`" in line and "100%" in line
    ]
    assert "2.00x" in line
    assert "D=2" in page
    assert "## Several devices" not in markdown.render(samples.run(), rows[:1])


def test_what_was_sampled_on_a_busy_machine_is_marked() -> None:
    noted = (Notice(code=BUSY_MACHINE, text="other processes used 60% of the CPUs meanwhile"),)
    one, two = row(ONE, "fused", 4e-3), row(TWO, "ring", 2e-3)
    quiet, *busy = (
        markdown.render(samples.run(), rows).split("## Several devices")[1].split("\n## ")[0]
        for rows in ([one, two], [replace(one, warnings=noted), two], [one, replace(two, warnings=noted)])
    )
    assert "busy machine" not in quiet
    for part in busy:
        assert part.count("2.00x ±0.0% (100%)<br>busy machine |") == 3
        assert "busy machine: other processes used more than 25% of the CPUs" in part


def test_the_report_says_whether_a_process_had_all_devices() -> None:
    rows = [row(TWO, "ring", 2e-3), row(TWO, "ring", 2e-3, "jax")]
    run = samples.run()
    one, each = (replace(run, settings=replace(run.settings, process_per_device=given)) for given in (False, True))
    said = "| several devices | jax: {}; torch: a process for each |"
    assert said.format("one process has all") in markdown.render(one, rows)
    assert said.format("a process for each") in markdown.render(each, rows)
    assert "several devices |" not in markdown.render(each, [row(ONE, "ring", 2e-3)])
