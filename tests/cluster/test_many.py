"""A long sweep over a real Ray cluster: no case is lost, and memory does not grow with the number of cases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from compare.cli import study
from compare.cli.main import main
from compare.machine.memory import of_process
from compare.results.store import RESULTS, lines
from compare.schema.records import Measurement, Row
from tests.cluster.conftest import on
from tests.cluster.hooks import variables
from tests.run_fake import arguments

PROBLEMS, CONTENDERS = 50, 20
# Of the bytes that the second half of the sweep wrote.  A program that keeps its rows grows by more than twice as many.
MOST_GROWTH = 1.0


@pytest.mark.long
def test_a_long_sweep_loses_nothing_and_takes_no_memory(cluster: Any, out: Path) -> None:
    """An extra node is killed when half of the rows are written.  The rows are as large as real ones."""
    node = cluster.add_node(num_cpus=2)
    recorded, resident, half = study.Study.recorded, list[int](), PROBLEMS * CONTENDERS // 2

    def watch(self: study.Study, row: Row) -> None:
        recorded(self, row)
        resident.append(of_process(os.getpid()))
        if len(resident) == half:
            cluster.remove_node(node, allow_graceful=False)

    argv = arguments(out, *["fake:naive"] * CONTENDERS, seq_lens=tuple(range(1, PROBLEMS + 1)))
    with patch.object(study.Study, "recorded", watch), patch.dict(os.environ, variables("rows_from_nowhere")):
        assert main([*argv, *on(cluster)]) == 0
    rows = [row for row in lines(out / RESULTS)[1] if isinstance(row, Measurement)]
    assert len(rows) == len({(row.problem, row.contender) for row in rows}) == PROBLEMS * CONTENDERS
    assert resident[-1] - resident[len(resident) // 2] < MOST_GROWTH * (out / RESULTS).stat().st_size / 2
