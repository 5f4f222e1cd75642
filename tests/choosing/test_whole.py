"""Two runs of the program, then ``select`` and ``diff`` on what they wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli.main import main
from tests.run_fake import arguments, register


def test_what_the_program_writes_can_be_chosen_from_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(monkeypatch)
    contenders = ("fake:naive:eager", "fake:slow:eager", "fake2:naive:eager")
    old, new = tmp_path / "old", tmp_path / "new"
    for out, named in ((old, contenders), (new, contenders[:2])):
        assert main(arguments(out, *named, seq_lens=(8, 16))) == 0
    capsys.readouterr()
    assert main(["select", str(old)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "fake:slow:eager" in text
    assert "Take fake:slow:eager" not in text
    assert main(["diff", str(old), str(new), "--fail-on", "disagreement,failing"]) == 0
    assert "fake2:naive:eager: is missing [" in capsys.readouterr().out
    assert main(["diff", str(old), str(new), "--fail-on", "missing"]) == 1
