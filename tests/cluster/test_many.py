"""A long sweep through the whole path: nothing is lost, and it takes the program no more memory than a short one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts import long_sweep

PROBLEMS = 50
MOST_GROWTH = (
    1.0  # of the bytes that the second half of the sweep wrote; rows that are kept take more than twice as many
)


@pytest.mark.long
def test_a_long_sweep_loses_nothing_and_takes_no_memory(cluster: Any, out: Path) -> None:
    found = long_sweep.sweep(cluster, out, PROBLEMS)
    assert found.code == 0
    assert found.rows == found.cases == PROBLEMS * long_sweep.CONTENDERS
    grown = found.resident[-1] - found.resident[len(found.resident) // 2]
    assert grown < MOST_GROWTH * found.file_bytes / 2
