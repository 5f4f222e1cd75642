"""docs/choosing.md: every answer in it is what the command above it prints, and every option stands in it."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from types import ModuleType

import pytest

from compare.cli import diff, select
from compare.cli.arguments import Parser
from compare.cli.main import main

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
    with suppress(SystemExit):
        main(shlex.split(command))
    printed = "".join(capsys.readouterr()).lstrip()
    assert OutputChecker().check_output(output, printed, ELLIPSIS | NORMALIZE_WHITESPACE), printed


@pytest.mark.parametrize("command", [select, diff])
def test_every_option_stands_on_the_page(command: ModuleType) -> None:
    parser = Parser()
    command.add_arguments(parser)
    assert len(SHOWN) >= 5
    known = {option for action in parser._actions for option in action.option_strings if option[:2] == "--"}
    assert {option for option in known - {"--help"} if f"`{option}" not in PAGE and f" {option} " not in PAGE} == set()
