"""What a failing contender costs the others: nothing if it raised an error, a second preparation if more is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli.main import main
from compare.schema.records import Measurement
from tests.run_fake import arguments, outcomes, rows_of, started_workers

NAMES = ("fake:naive", "fake:slow")


def said(out: Path, capsys: pytest.CaptureFixture[str], *contenders: str) -> str:
    """What is seen of a run in which the others, and they alone, have good rows."""
    assert main(arguments(out, *contenders)) == 3
    assert {name for (name, _), found in outcomes(out).items() if found == "ok"} == {f"{each}:eager" for each in NAMES}
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        ("raises", "ERROR in prepare: RuntimeError: the fake broke on purpose"),
        ("late_raise", "ERROR in turn: RuntimeError: the fake broke late"),
    ],
)
def test_after_an_error_the_others_go_on_in_the_same_process(
    faulty: str,
    reason: str,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workers = started_workers(tmp_path, monkeypatch)
    text = said(out, capsys, "fake:naive", f"fake:{faulty}", "fake:slow")
    assert len(list(workers.iterdir())) == 1
    assert [text.count(f"{name}:eager: first calls") for name in NAMES] == [1, 1]
    assert f"fake:{faulty}:eager: {reason}" in text
    assert "fresh" not in text
    codes = [each.code for row in rows_of(out) if isinstance(row, Measurement) for each in row.warnings]
    assert "restarted" not in codes


@pytest.mark.parametrize("faulty", ["astray", "crashes"])
def test_where_the_device_or_the_process_is_gone_they_are_prepared_anew_and_that_is_said(
    faulty: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = started_workers(tmp_path, monkeypatch)
    text = said(out, capsys, "fake:naive", f"fake:{faulty}", "fake:slow")
    assert len(list(workers.iterdir())) == 2
    assert [text.count(f"{name}:eager: first calls") for name in NAMES] == [2, 1]
    assert f"fake:{faulty}:eager: worker crashed; restarting fake:naive:eager" in text


def test_a_crash_between_rounds_says_who_is_prepared_anew(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(out, capsys, *NAMES, "fake:late_crash")
    assert "worker restarted; preparing fake:naive:eager, fake:slow:eager" in text
