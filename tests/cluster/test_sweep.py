"""Sweeps over a real cluster of several raylets on this machine, one of them killed in the middle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compare.cli.main import main
from compare.machine import environment
from compare.results import machines
from compare.results.rows import measurements
from compare.results.store import REPORT, RESULTS
from compare.schema.records import Skip
from tests.cluster import hooks
from tests.cluster.conftest import on
from tests.run_fake import GOOD, arguments, outcomes, rows_of, run_of


def test_a_sweep_over_two_nodes_is_the_sweep(cluster: Any, out: Path, tmp_path: Path) -> None:
    lengths = (8, 16, 24)
    argv = [*GOOD, "fake:raises", "fake:unsupported"]
    assert main([*arguments(out, *argv, seq_lens=lengths), *on(cluster)]) == 3
    assert main(arguments(tmp_path / "alone", *argv, seq_lens=lengths)) == 3
    assert outcomes(out) == outcomes(tmp_path / "alone")
    rows, nodes = rows_of(out), run_of(out).nodes
    assert {row.node for row in rows} == {node.name for node in nodes}
    assert len(nodes) == 2  # each problem takes a whole node
    assert all(len({row.node for row in rows if row.problem.q_len == length}) == 1 for length in lengths)
    assert {row.device_name for row in rows} == {"fake cpu"}
    assert {row.problem.q_len for row in measurements(rows) if row.warm_costs} == {8}
    assert [json.loads(line)["kind"] for line in (out / RESULTS).read_text().splitlines()[:2]] == ["run", "node"]
    assert list(out.glob("problem-*-fake.log"))
    assert "Kind of machine" not in (out / REPORT).read_text()


@pytest.mark.long
def test_each_node_is_rated(cluster: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hooks.variables("rated_fakes").items():
        monkeypatch.setenv(name, value)
    assert main([*arguments(out, "fake:naive"), *on(cluster)]) == 0
    run = run_of(out)
    rated = {node.name for node in run.nodes if [each.backend for each in node.rates] == ["fake"]}
    assert len(rated) == 2
    [(here, _)] = machines.parts(run, rows_of(out))
    assert here.rates


def test_a_problem_has_the_gpus_that_it_asks_for(cluster: Any, out: Path) -> None:
    argv = ["--device", "gpu", "--devices", "1", "2", "--processes", "2"]
    assert main([*arguments(out, "fake:naive", "fake2:naive"), *argv, *on(cluster)]) == 0
    alone, two = ([row for row in rows_of(out) if row.problem.devices == devices] for devices in (1, 2))
    assert {row.device_name for row in alone} == {"fake gpu"}
    assert {node.inherited["CUDA_VISIBLE_DEVICES"] for node in run_of(out).nodes if node.backends} == {"0"}
    assert all(row.passes["step"].repeats.keys() == {2} for row in alone)  # type: ignore[union-attr]
    assert [type(row) for row in two] == [Skip, Skip]
    assert {row.reason for row in two} == {"no node has 2 GPUs and 4 CPUs"}  # type: ignore[union-attr]


def test_a_node_with_other_source_measures_nothing(cluster: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "code", lambda _: "another")
    assert main([*arguments(out, "fake:naive"), *on(cluster)]) == 3
    [row] = rows_of(out)
    assert (row.status, row.stage) == ("ERROR", "node")  # type: ignore[union-attr]
    assert "the program's source on this node" in row.reason  # type: ignore[union-attr]
