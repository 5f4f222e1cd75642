"""Two releases of one framework are never taken for one: what a row is held against, and which runs belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from compare.analysis import kernels, scaling, solutions, startup
from compare.analysis.diff import differences
from compare.analysis.text import names_of
from compare.cli.main import main
from compare.results import merging
from compare.results import rows as processes
from compare.results.store import RESULTS, Log
from compare.schema.records import Contender, Cost, DeviceRate, Run
from compare.stats import verdicts
from compare.stats.estimates import Estimate
from tests import samples
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

PYTHON = "/old/bin/python"
WHERE = problem(64)
NEW, OLD = (replace(EAGER, release="2.6.0"), replace(EAGER, release="2.5.0", python=PYTHON))
NEW_COMPILE, OLD_COMPILE = (replace(each, mode="compile") for each in (NEW, OLD))


def run(python: str = PYTHON, **other: object) -> Run:
    """Of JAX and both releases, the old one slower to import and faster to multiply."""
    jax, torch = samples.run().backends
    old = replace(torch, backend=OLD.home, python=python, versions={"torch": "2.5.0", "triton": "1"}, import_s=9.0)
    rates = tuple(
        DeviceRate(backend=each, dtype="float32", matmul_precision="ieee", matmul_flops_per_s=flops)
        for each, flops in ((NEW.home, 1e9), (OLD.home, 2e9))
    )
    both = replace(samples.run(), backends=(jax, replace(torch, backend=NEW.home), replace(old, **other)))
    return replace(both, rates=rates)


def test_a_file_without_interpreters_reads_as_before() -> None:
    text = b'{"backend": "torch", "variant": "naive", "mode": "eager", "entrant": 2}'
    found = msgspec.json.decode(text, type=Contender)
    assert (found.name, found.home, found.python) == ("torch:naive:eager#2", "torch", "")
    assert replace(found, release="2.5.0", python=PYTHON).name == "torch:naive:eager@2.5.0#2"


def test_sentences_name_the_release() -> None:
    assert names_of(OLD, NEW) == ("eager PyTorch 2.5.0", "eager PyTorch 2.6.0")
    assert names_of(OLD_COMPILE, NEW) == ("compiled PyTorch 2.5.0", "eager PyTorch 2.6.0")
    assert names_of(OLD, JAX) == ("eager PyTorch 2.5.0", "JAX")
    rows = [measurement(WHERE, each, time_s, ("forward",)) for each, time_s in ((NEW, 1e-3), (OLD, 2e-3))]
    [found] = kernels.reasons(rows, 0.01, "op")
    assert found.text.startswith("Eager PyTorch 2.5.0 takes 2.00x the time of eager PyTorch 2.6.0")


def test_each_has_its_own_import_and_warms_its_own_compiler_alone() -> None:
    warm = {"forward": Cost(trace_s=0.01, compile_s=0.004, first_call_s=0.002)}
    rows = [measurement(WHERE, each, 1e-3, ("forward",), warm_costs=warm) for each in (NEW_COMPILE, OLD_COMPILE)]
    found = startup.startups(rows, run().backends)
    assert [(each.import_s, each.after) for each in found] == [(0.8, None), (9.0, None)]


def test_a_remedy_is_held_against_naive_of_its_own_release() -> None:
    fused = replace(OLD, variant="fused")
    rows = [measurement(WHERE, each, time_s) for each, time_s in ((NEW, 1e-3), (OLD, 4e-3), (fused, 2e-3))]
    [found] = [each for each in solutions.solutions(rows) if each.row.contender == fused]
    assert found.base.contender == OLD
    assert found.times["step"].median == pytest.approx(0.5)


def test_several_devices_are_held_against_one_under_the_same_release() -> None:
    many = measurement(replace(WHERE, devices=2), replace(OLD, variant="ring"))
    one, other = (measurement(WHERE, replace(each, variant="fused")) for each in (OLD, NEW))
    assert scaling.base_of(many, [other]) is None
    assert scaling.base_of(many, [other, one]) == one


def test_two_releases_are_two_processes_that_differ_by_chance() -> None:
    near = Estimate(median=1.01, low=1.005, high=1.015, rounds=20)
    settings = samples.run().settings
    assert verdicts.too_near(near, OLD, NEW, settings)
    assert not verdicts.too_near(near, NEW_COMPILE, NEW, settings)


def test_a_merged_run_keeps_what_each_says_and_reaches() -> None:
    found = merging.joined([run(), run()], "")
    assert [each.backend for each in found.backends] == ["jax", NEW.home, OLD.home]
    assert [(each.backend, each.matmul_flops_per_s) for each in found.rates] == [(NEW.home, 1e9), (OLD.home, 2e9)]


ELSEWHERE: dict[str, Callable[[], Run]] = {
    "torch@2.5.0 python": lambda: run("/elsewhere/bin/python"),
    "torch@2.5.0 versions": lambda: run(versions={"torch": "2.5.0", "triton": "2"}),
}


@pytest.mark.parametrize("said", ELSEWHERE)
def test_runs_of_other_interpreters_are_not_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    for name, record in (("a", run()), ("b", ELSEWHERE[said]())):
        (tmp_path / name).mkdir()
        for each in (record, measurement(problem(64 if name == "a" else 128), OLD)):
            Log(tmp_path / name / RESULTS).append(each)
    with pytest.raises(SystemExit) as end:
        main(["merge", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "out")])
    assert end.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{said} is " in line


def test_a_diff_may_be_of_other_versions_but_not_of_another_place() -> None:
    found = {name: differences(run(), record())[0] for name, record in ELSEWHERE.items()}
    assert {name: (each.name, each.may_be) for name, each in found.items()} == {
        "torch@2.5.0 python": ("torch@2.5.0 python", False),
        "torch@2.5.0 versions": ("torch@2.5.0 versions", True),
    }


def test_the_same_contender_of_two_releases_is_two_rows() -> None:
    rows = [measurement(WHERE, each, process=at) for at in (1, 2) for each in (COMPILE, NEW_COMPILE, OLD_COMPILE)]
    assert [row.contender for row in processes.joined(rows)] == [COMPILE, NEW_COMPILE, OLD_COMPILE]
