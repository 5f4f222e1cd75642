"""The longest sequence that fits: the search, a run on the fake backend, and what is said of it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from compare.analysis import longest
from compare.cli import max_seq_len
from compare.cli.main import main
from compare.machine.memory import data_bytes
from compare.measure import search as reach
from compare.measure.search import GRAIN, SHARE, Reach
from compare.render import terminal
from compare.worker import session
from tests import run_fake
from tests.samples import JAX, problem

WORDS = ("--batch-size", "2", "--d-model", "8", "--device", "cpu", "--timeout", "60")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 300_000), st.integers(1, 200_000))
def test_the_answer_is_the_wall_to_within_the_grain(wall: int, most: int) -> None:
    tried: list[int] = []

    def refusal(length: int) -> str:
        tried.append(length)
        return "OOM" if length > wall else ""

    found = reach.search(refusal, most)
    assert max(tried) <= most
    assert len(tried) == len(set(tried)) == len(found.tries) <= 40
    assert found.longest <= wall
    if found.refused is None:
        assert found.longest == most
    else:
        assert found.refused > wall
        assert found.refused - found.longest <= max(2 * GRAIN, found.longest // SHARE + GRAIN)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 300_000), st.integers(0, 300_000), st.integers(1, 200_000))
def test_what_needs_more_is_searched_below_what_is_known(one: int, other: int, most: int) -> None:
    walls = {"forward": max(one, other), "step": min(one, other)}
    known = reach.search(lambda length: "OOM" * (length > walls["forward"]), most)
    found = reach.search(lambda length: "OOM" * (length > walls["step"]), most, known)
    assert found.longest <= walls["step"]
    assert all(length < (known.refused or most + 1) for length in found.tries)
    assert (found.refused is None) == (found.longest == most)
    if found.refused is not None:
        assert found.refused > walls["step"]
        assert found.refused - found.longest <= max(2 * GRAIN, found.longest // SHARE + GRAIN)


def answers(out: Path) -> dict[tuple[str, str], Reach]:
    lines = (out / max_seq_len.RECORDS).read_bytes().splitlines()[1:]
    found = [msgspec.json.decode(line, type=Reach) for line in lines]
    return {(each.contender.name, each.pass_name): each for each in found}


def search(out: Path, *contenders: str, most: str = "4096") -> int:
    named = [word for each in contenders for word in ("--contender", each)]
    return main([*named, *WORDS, "--max-seq-len", most, "--out", str(out)])


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    run_fake.register(monkeypatch)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.usefixtures("fakes")
def test_every_contender_has_its_wall_and_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert search(out, "fake:naive", "fake:wall", "fake:exits", "fake:unsupported", most="2048") == 0
    found = answers(out)
    assert found["fake:naive:eager", "step"].longest == 2048
    assert found["fake:naive:eager", "step"].refused is None
    for name in ("forward", "step"):
        wall = found["fake:wall:eager", name]
        assert wall.longest <= 1500 < (wall.refused or 0)
        assert wall.reason.startswith("OOM: OutOfMemory")
        assert wall.problem.q_len == wall.problem.kv_len == wall.longest
        assert found["fake:exits:eager", name].longest == 0
        assert found["fake:exits:eager", name].reason.startswith("CRASH")
        assert found["fake:unsupported:eager", name].reason.startswith("unsupported")
    shown = capsys.readouterr().out
    assert ">= 2048" in shown
    page = (out / max_seq_len.REPORT).read_text()
    assert "`fake:wall:eager`" in page
    assert "OOM: OutOfMemory" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seq-len", "8"], "leave --seq-len out"),
        (["--samples", "6"], "leave --samples out"),
        (["--dry-run"], "leave --dry-run out"),
        (["--pass", "backward"], "possible passes: forward, step"),
    ],
)
def test_what_a_search_cannot_have(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--max-seq-len", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_try_cannot_take_more_than_it_may() -> None:
    before = data_bytes()
    assert before is not None
    with session.at_most(2**28), pytest.raises(MemoryError):
        bytearray(2**30)
    assert len(bytearray(2**29)) == 2**29  # and afterwards it may again


def test_a_long_name_takes_no_other_column_its_room() -> None:
    own = replace(JAX, variant="some/where/my_kernels_of_today.py:attention_with_a_long_name_and_some_more")
    found = [
        Reach(problem=problem(), contender=own, pass_name="step", longest=9216, refused=9344, reason="needs 48 GB")
    ]
    console = Console(width=80, file=(out := StringIO()))
    terminal.show(longest.sections(found), console)
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert {"longest", "9216", "T=9344:"} <= set(out.getvalue().split())
