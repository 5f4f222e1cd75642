"""A long sweep through the whole path: nothing is lost, and the program needs no more memory for it than for a short one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from compare import study
from compare.cli import main
from compare.records import Row
from compare.resident import of_process
from tests.cluster.conftest import HOOK, hook, lines_of, on
from tests.run_fake import arguments

PROBLEMS, CONTENDERS = 100, 20
MOST_GROWTH = 0.1  # of the bytes of the file that the second half of the sweep wrote


def test_a_long_sweep_loses_nothing_and_takes_no_memory(
    cluster: Cluster, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOOK, hook("rows_from_nowhere"))
    recorded = study.Study.recorded
    resident: list[int] = []

    def spy(self: study.Study, row: Row) -> None:
        recorded(self, row)
        resident.append(of_process(os.getpid()))

    monkeypatch.setattr(study.Study, "recorded", spy)
    argv = arguments(out, *["fake:naive"] * CONTENDERS, seq_lens=tuple(range(1, PROBLEMS + 1)))
    assert main([*argv, *on(cluster)]) == 0
    rows = [line for line in lines_of(out) if line["kind"] == "measurement"]
    cases = {(row["problem"]["q_len"], row["contender"]["entrant"]) for row in rows}
    assert len(rows) == len(cases) == PROBLEMS * CONTENDERS
    written = (out / "results.jsonl").stat().st_size / 2
    print(
        f"{len(rows)} cases, grown by {resident[-1] - resident[len(rows) // 2]} bytes, {written:.0f} written meanwhile"
    )
    assert resident[-1] - resident[len(rows) // 2] < MOST_GROWTH * written
