"""Fakes for frameworks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run_fake import register


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
