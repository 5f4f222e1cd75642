"""The real thing on two processes: rows that agree, and devices that die, hang or fail alone, one row each."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare import results
from compare.cli import main
from compare.records import Failure, Measurement, Skip
from compare.resident import with_descendants

FAULTY = "torch=tests/parallel/faulty.py"
FAULTS = ("dies", "hangs", "raises")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Contender's function or variant -> its row."""
    out = tmp_path_factory.mktemp("parallel") / "run"
    names = ["jax:ring", "torch:ring", *(f"{FAULTY}:{each}" for each in FAULTS), f"{FAULTY}:fine", "torch:fused"]
    shape = ["--devices", "2", "--heads", "2", "--d-model", "32", "--seq-len", "64", "--batch-size", "2"]
    how = ["--samples", "6", "--timeout", "30", "--device", "cpu", "--out", str(out)]
    code = main([*(word for name in names for word in ("--contender", name)), *shape, *how])
    assert code == 3
    found = results.read(out / results.RESULTS)[1]
    return {row.contender.variant.split(":")[-1] + row.contender.backend: row for row in found}


@pytest.mark.parametrize("name", ["ringjax", "ringtorch", "finetorch"])
def test_what_runs_agrees_and_has_all_passes(rows: dict[str, object], name: str) -> None:
    row = rows[name]
    assert isinstance(row, Measurement)
    assert row.agreement
    assert row.agreement.agrees
    assert set(row.passes) == {"forward", "backward", "step"}
    assert all(len(each.device_s) >= 6 and min(each.device_s) > 0 for each in row.passes.values())


def test_a_device_holds_its_share_alone(rows: dict[str, object]) -> None:
    """dQ, dK and dV of half of the positions, and what travels; the log-sum-exp is kept, and no input."""
    row = rows["ringtorch"]
    assert isinstance(row, Measurement)
    assert row.saved_bytes == 2 * 32 * 2 * 4


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("dies", "CRASH", ""),
        ("hangs", "TIMEOUT", "no answer within 30 s"),
        ("raises", "ERROR", "device 1 of 2: ValueError: this device has had enough"),
    ],
)
def test_a_device_that_fails_is_one_row(rows: dict[str, object], name: str, status: str, reason: str) -> None:
    row = rows[f"{name}torch"]
    assert isinstance(row, Failure)
    assert (row.status, row.stage) == (status, "prepare")
    assert reason in row.reason


def test_what_runs_on_one_device_is_skipped(rows: dict[str, object]) -> None:
    row = rows["fusedtorch"]
    assert isinstance(row, Skip)
    assert row.reason == "runs on one device; 2 devices share ring, allgather, ulysses"


def test_no_process_is_left_behind(rows: dict[str, object]) -> None:
    assert rows
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [each for each in commands if b"compare.worker" in each]
    assert with_descendants(1)
