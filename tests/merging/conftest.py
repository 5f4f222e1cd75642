"""Fakes for frameworks."""

from __future__ import annotations

import pytest

from tests.run_fake import register


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
