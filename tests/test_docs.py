"""Every command of README.md and docs/ is one that the programs take.

What reads results is run, on committed ones; what would measure is planned and not begun; of other programs the options
are checked where the program is there.  The answers in docs/choosing.md are compared in tests/choosing/test_docs.py.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from compare.cli import doctor, main, options, publishing
from compare.schema.records import Device
from tests.planned import parse

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(?:sh)?\n((?:.*\n)*?)```$", re.MULTILINE)
OWN = re.compile(r"^```python\n# mine.py\n((?:.*\n)*?)```$", re.MULTILINE)
INLINE = re.compile(r"`((?:python -m|pip install|ray|xprof) [^`\n]*)`")
COMMAND = re.compile(r"(\S*python3?|\S*pip|ray|xprof|export) ")
READERS = ("report", "merge", "select", "diff")
STUDY = "results/h100/bfloat16"
NAMED = ("RESULTS", "FOLDER", "OLD", "NEW", "shard-1", "shard-2", "baseline", "new")  # results, as the pages call them


def commands(page: str) -> list[str]:
    """All commands of a page, one by one: of ``a && b`` both, without comments and what follows ``>``."""
    lines = [line for block in BLOCK.findall(page) for line in block.replace("\\\n", " ").splitlines()]
    parts = [part.strip() for line in [*lines, *INLINE.findall(page)] for part in line.split("&&")]
    return [part.split(" > ")[0].split(" >> ")[0] for part in parts if COMMAND.match(part)]


def words(command: str) -> list[str]:
    """The arguments, where a page has placeholders something real."""
    plain = [word.strip("[]") for word in shlex.split(command, comments=True)] if "[-" in command else None
    found = plain or shlex.split(command, comments=True)
    placed = dict.fromkeys(NAMED, STUDY) | {"DIR": "drawn"}
    here = (re.sub(r"@/\S+/python$", f"@{sys.executable}", placed.get(word, word)) for word in found if word != "...")
    return list(here)


ALL = sorted({command for page in PAGES for command in commands(page.read_text())})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with the committed results, on a machine whose devices nobody looks for."""

    def any_gpu(*_: object) -> tuple[Device, str, int | None]:
        return "gpu", "", None

    (tmp_path / "results").symlink_to(ROOT / "results")
    (tmp_path / "mine.py").write_text(OWN.findall((ROOT / "docs" / "howto.md").read_text())[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "find_device", any_gpu)
    monkeypatch.setattr(
        options, "check_out", lambda _: None
    )  # which would make the linked folder fuller, or find it full
    monkeypatch.setattr(doctor, "examine", lambda _console: True)
    monkeypatch.setattr(publishing, "installed", lambda module: module != "matplotlib")


@pytest.mark.parametrize("command", ALL)
def test_a_command_of_the_pages_is_taken(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *rest = words(command)
    if rest[:2] == ["-m", "compare"]:
        compares(rest[1:], lambda: capsys.readouterr().out)
    elif rest[:1] == ["-m"]:
        MODULES[rest[1].partition(".")[0]](rest[1:])
    else:
        PROGRAMS[Path(program).name](rest)


def compares(given: list[str], said: Callable[[], str]) -> None:
    """``python -m compare``: run, or planned; of a command that is only named, its help."""
    _, *rest = given
    if len(rest) == 1 and rest[0] in READERS:
        with pytest.raises(SystemExit, match=r"^0$"):
            main.main([*rest, "--help"])
    elif rest and rest[0] in ("doctor", *READERS):
        assert main.main(rest) in (0, 1)
        assert said() or rest == ["doctor"]
    else:
        parsed, plan = parse(rest)
        assert parsed.list or (plan and plan.problems)


def scripted(given: list[str]) -> None:
    """``python -m benchmarks.NAME`` or ``tests.NAME``: there is such a program."""
    spec = find_spec(given[0])
    assert spec is not None
    if spec.submodule_search_locations:
        spec = find_spec(f"{given[0]}.__main__")
        assert spec is not None
    assert spec.origin is not None
    assert '__name__ == "__main__"' in Path(spec.origin).read_text() or spec.origin.endswith("__main__.py")


def installs(given: list[str]) -> None:
    """``pip install``: extras that are named exist."""
    assert given[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [extra for word in given for found in re.findall(r"^\.\[(.*)\]$", word) for extra in found.split(",")]
    assert set(named) <= set(extras)


def starts_a_node(given: list[str]) -> None:
    """``ray start``: Ray itself reads the options, and does not begin."""
    scripts = pytest.importorskip("ray.scripts.scripts")
    assert scripts.cli.commands[given[0]].make_context(given[0], list(given[1:])).params


def nothing(given: list[str]) -> None:
    """Not a program of this project, and nothing that could be checked without it."""
    assert given


Run = Callable[[list[str]], None]
MODULES: dict[str, Run] = {"benchmarks": scripted, "tests": scripted, "venv": nothing, "pytest": nothing}
PROGRAMS: dict[str, Run] = {"pip": installs, "ray": starts_a_node, "xprof": nothing, "export": nothing}


def test_commands_are_found_in_every_form() -> None:
    block = "```sh\nray b  # c\npython -m x \\\n  -y && pip install z > f\n```\n"
    page = f"`python -m compare a`\n{block}```console\n$ ray\n```\n"
    assert [words(each) for each in commands(page)] == [
        ["ray", "b"],
        ["python", "-m", "x", "-y"],
        ["pip", "install", "z"],
        ["python", "-m", "compare", "a"],
    ]
    assert len(ALL) > 15
