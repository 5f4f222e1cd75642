"""Fakes for frameworks, and nothing left behind."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run_fake import MARK, marked, register


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Fakes for frameworks; whatever a test starts carries its mark, and nothing may be left of it."""
    register(monkeypatch)
    text = uuid.uuid4().hex
    monkeypatch.setenv(MARK, text)
    yield text
    left = marked(text)
    for pid in left:  # only what this test started
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes were left behind"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
