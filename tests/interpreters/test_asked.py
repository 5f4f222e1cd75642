"""What is typed behind ``@``, the interpreters that are refused, each with one line, and the names of the others."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.cli.main import main
from compare.plan import interpreters
from compare.plan.cases import parse_contender
from compare.schema.records import Contender
from tests.interpreters.conftest import RELEASE, empty, site
from tests.run_fake import arguments, register

ROOT = Path(__file__).resolve().parents[2]
WORDS = st.text("ab@/.-_", min_size=1)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")


def script(folder: Path, text: str) -> Path:
    """An executable that is no Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def refusal(capsys: pytest.CaptureFixture[str], out: Path, *contenders: str, more: str = "") -> str:
    with pytest.raises(SystemExit) as end:
        main([*arguments(out, *contenders), *more.split()])
    assert end.value.code == 2
    assert not out.exists()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("compare: error: ")
    return line


@given(folder=WORDS, python=WORDS)
def test_the_interpreter_stands_behind_the_first_at_that_is_not_the_files(folder: str, python: str) -> None:
    for typed in ("jax:naive:jit", f"jax={folder}/file.py:attend", f"jax={folder}/file.py:attend:jit"):
        assert interpreters.split(f"{typed}@{python}") == (typed, python)
        assert interpreters.split(typed) == (typed, None)


def test_a_link_is_kept_for_it_is_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "python-of-mine"
    link.symlink_to(sys.executable)
    for typed, folder in ((str(link), "/"), ("./python-of-mine", str(tmp_path))):
        monkeypatch.chdir(folder)
        assert parse_contender(f"fake:naive@{typed}").python == str(link)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert parse_contender("fake:naive@python-of-mine").python == str(link)


def test_one_without_our_packages_is_told_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, tmp_path / "out", f"fake:naive@{empty(tmp_path / 'bare')}")
    assert "cannot run fake (numpy, msgspec missing there)" in line
    assert "msgspec numpy" in line


def test_one_whose_packages_are_broken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = empty(tmp_path / "broken")
    for name in ("numpy", "msgspec"):
        (site(python) / f"{name}.py").write_text("raise ImportError('half installed')\n")
    line = refusal(capsys, tmp_path / "out", f"fake:naive@{python}")
    assert "cannot run this program's worker" in line
    assert "half installed" in line


BAD = {
    "no answer": ("exit 3", "exit code 3"),
    "another program": ("echo hello", "expected a Python"),
    "its own words": ("echo what is -c >&2; exit 1", "expected a Python: what is -c"),
    "too old": ("""echo '{"python": [3, 10]}'""", "is Python 3.10; possible: 3.11 to 3.13"),
    "too new": ("""echo '{"python": [3, 14], "missing": ["numpy"]}'""", "is Python 3.14; possible: 3.11 to 3.13"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_fitting_python_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    text, said = BAD[name]
    python = script(tmp_path, text)
    line = refusal(capsys, tmp_path / "out", "fake:naive", f"fake:naive@{python}")
    assert str(python) in line
    assert said in line


def test_what_does_not_answer_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "ASK_TIMEOUT_S", 0.2)
    line = refusal(capsys, tmp_path / "out", f"fake:naive@{script(tmp_path, 'exec sleep 60')}")
    assert "no answer within 0.2 s" in line


def test_what_cannot_be_executed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    shapeless = tmp_path / "shapeless"
    shapeless.write_bytes(b"\x7fELF")
    shapeless.chmod(0o755)
    for typed in ("", str(tmp_path / "nothing"), str(tmp_path), str(plain)):
        line = refusal(capsys, tmp_path / "out", f"fake:naive@{typed}")
        assert f"expected an executable Python behind @, got {typed!r}" in line
    assert "cannot be run" in refusal(capsys, tmp_path / "out", f"fake:naive@{shapeless}")


def test_a_cluster_refuses_the_path_of_one_machine(
    tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, tmp_path / "out", f"fake:naive@{other}", more="--executor ray")
    assert str(other) in line
    assert "leave --executor ray out" in line


def test_a_backend_that_only_the_other_has_needs_none_here(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = interpreters.BACKENDS["fake"]
    monkeypatch.setitem(interpreters.BACKENDS, "fake", entry._replace(requires=("only_there",)))
    (site(other) / "only_there.py").write_text("")
    assert main([*arguments(tmp_path / "out", f"fake:naive@{other}"), "--dry-run"]) == 0
    assert "fake:naive:eager@unknown" in capsys.readouterr().out


def contenders(*pythons: str, backend: str = "fake") -> list[Contender]:
    return [Contender(backend=backend, variant="naive", mode="eager", python=each) for each in pythons]


def test_names_tell_interpreters_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that stands twice is numbered; a backend that has one interpreter has none in its names."""
    known = {"/a": "1.0", "/b": "2.0", "/c": "1.0", "/d": "2.0 beta/3"}
    monkeypatch.setattr(interpreters, "ask", lambda python, _: interpreters.Answer((3, 12), release=known[python]))
    monkeypatch.setattr(interpreters, "own_release", lambda _: "1.0")
    found = interpreters.released([*contenders("/a", "/b", "", "/c", "/a", "/d"), *contenders("", backend="fake2")])
    homes = [each.home for each in found]
    assert homes == [
        "fake@1.0", "fake@2.0", "fake@1.0(2)", "fake@1.0(3)", "fake@1.0", "fake@2.0-beta-3", "fake2"
    ]  # fmt: skip


def test_the_pythons_are_those_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    [(oldest, beyond)] = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text)
    assert ((3, int(oldest)), (3, int(beyond) - 1)) == (interpreters.OLDEST, interpreters.NEWEST)


def test_what_lies_where_the_program_was_started_is_not_taken_for_its_packages(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('a trap')\n")
    (tmp_path / "compare.py").write_text("raise ImportError('a trap')\n")
    monkeypatch.chdir(tmp_path)
    assert interpreters.ask(str(other), "fake").release == RELEASE
