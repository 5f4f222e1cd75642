"""Every test has an empty folder and measures nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli import study


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own, where results would appear."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(study, "measure", refuse_to_measure)
    return tmp_path


def refuse_to_measure(*_: object) -> None:
    raise AssertionError("a test of the command line went on to measure")
