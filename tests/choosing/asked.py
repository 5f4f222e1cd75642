"""``select`` as it is typed: its page, or the one line with which it ends."""

from __future__ import annotations

import pytest

from compare.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The page, each line break a blank."""
    return " ".join(printed(capsys, *words).split())


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["select", *map(str, words)]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as end:
        main(["select", *map(str, words)])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("compare select: error: ")
    return line
