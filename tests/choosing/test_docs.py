"""docs/choosing.md: every answer in it is what the command above it prints."""

from __future__ import annotations

import re
import shlex
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

from compare.cli import main
from compare.result_arguments import select_parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "choosing.md").read_text()
SHOWN = re.findall(r"^```console\n\$ python -m compare (.*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_an_answer_is_what_the_command_prints(
    command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [weights] = re.findall(r"^```toml\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
    (tmp_path / "weights.toml").write_text(weights)
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    main(shlex.split(command))
    assert OutputChecker().check_output(output, capsys.readouterr().out.lstrip(), ELLIPSIS | NORMALIZE_WHITESPACE)


def test_every_option_stands_on_the_page() -> None:
    assert len(SHOWN) >= 3
    known = {option for action in select_parser()._actions for option in action.option_strings if option[:2] == "--"}
    assert {option for option in known - {"--help", "--format"} if option not in PAGE} == set()
