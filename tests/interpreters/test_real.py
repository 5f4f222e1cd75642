"""A real framework against itself under another interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli import publishing
from compare.cli.main import main
from compare.measure import rates
from compare.schema.records import Measurement
from tests.run_fake import no_extras, no_rates, rows_of, run_of

ROUNDS = 6


def test_torch_takes_turns_with_itself_elsewhere(tmp_path: Path, twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "rated", no_rates)
    monkeypatch.setattr(publishing, "installed", no_extras)
    words = f"--contender torch:naive:eager --contender torch:naive:eager@{twin} --pass forward --samples {ROUNDS}"
    sizes = "--seq-len 32 --d-model 8 --batch-size 1 --device cpu --timeout 120"
    assert main([*words.split(), *sizes.split(), "--out", str(tmp_path / "out")]) == 0
    here, there = run_of(tmp_path / "out").backends
    assert (here.python, there.python) == ("", str(twin))
    assert there.backend == f"{here.backend}(2)"
    assert there.versions == here.versions | {"python": there.versions["python"]}
    rows = rows_of(tmp_path / "out")
    assert [row.contender.home for row in rows] == [here.backend, there.backend]
    for row in rows:
        assert isinstance(row, Measurement)
        assert row.agreement
        assert row.agreement.agrees
        result = row.passes["forward"]
        assert len(result.device_s) == len(result.wall_s) == ROUNDS * result.per_round
