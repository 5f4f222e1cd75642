"""What a dry run says will be skipped is what a run skips, for the same reason; its time is not planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli.main import main
from compare.measure import runner
from compare.plan.cases import START_S
from compare.schema.records import Skip
from tests.planned import parse
from tests.run_fake import arguments, rows_of, started_workers

NAMES = ("fake:naive", "fake:unsupported", "fake2:unsupported")
REASON = "needs a head size of 7, got 8"


def test_what_it_says_a_run_does(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(out, *NAMES, seq_lens=(8, 16))
    assert main([*given, "--dry-run"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"4 cases skipped, fake:unsupported:eager and fake2:unsupported:eager: {REASON}" in text
    assert " 2 cases, about" in text
    assert main(given) == 0
    skipped = {(row.problem, row.contender): row.reason for row in rows_of(out) if isinstance(row, Skip)}
    _, plan = parse(arguments(tmp_path / "other", *NAMES, seq_lens=(8, 16)))
    assert plan
    assert {(case.problem, case.contender): why for case, why in runner.refusals(plan).items()} == skipped


def test_what_is_skipped_takes_no_time(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments(out, *NAMES[1:]), "--dry-run"]) == 0
    assert f"0 cases, about {START_S['cpu']:.0f} s;" in capsys.readouterr().out


def test_no_worker_is_started_where_no_variant_can_tell(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = started_workers(tmp_path, monkeypatch)
    assert main([*arguments(out, "fake:naive", "fake2:slow"), "--dry-run"]) == 0
    assert list(workers.iterdir()) == []
