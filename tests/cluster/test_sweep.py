"""Sweeps over a real cluster of several raylets on this machine, one of them killed in the middle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compare.cli import main
from compare.results import REPORT, RESULTS
from tests.cluster.conftest import on
from tests.run_fake import GOOD, arguments, outcomes, rows_of, run_of


def test_a_sweep_over_two_nodes_is_the_sweep(cluster: Any, out: Path, tmp_path: Path) -> None:
    lengths = (8, 16, 24, 32)
    argv = [*GOOD, "fake:raises", "fake:unsupported"]
    assert main([*arguments(out, *argv, seq_lens=lengths), *on(cluster)]) == 3
    assert main(arguments(tmp_path / "alone", *argv, seq_lens=lengths)) == 3
    assert outcomes(out) == outcomes(tmp_path / "alone")
    rows, nodes = rows_of(out), run_of(out).nodes
    assert {row.node for row in rows} == {node.name for node in nodes}
    assert len(nodes) == 2  # each problem takes a whole node
    assert all(len({row.node for row in rows if row.problem.q_len == length}) == 1 for length in lengths)
    assert {row.device_name for row in rows} == {"fake cpu"}
    assert [json.loads(line)["kind"] for line in (out / RESULTS).read_text().splitlines()[:2]] == ["run", "node"]
    assert list(out.glob("problem-*-fake.log"))
    assert "Kind of machine" not in (out / REPORT).read_text()
