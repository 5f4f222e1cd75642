"""What is typed, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--device", "cpu", "--seq-len", "8", "--d-model", "4", "--batch-size", "1"]


def refusal(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """The one line that bad input ends with."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit) as end:
        main.main(argv)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert sorted(Path.cwd().rglob("*")) == before
    [line] = err.splitlines()
    assert line.startswith("compare: error: ")
    return line


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
