"""``diff`` as it is typed: exit codes for CI, what it says, and which runs it will not hold against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from compare.cli.main import main
from compare.schema.records import Row, Run
from tests.choosing.rows import steady, written
from tests.samples import COMPILE, EAGER, JAX, agreement, out_of_memory, problem, run

ROOT = Path(__file__).parents[2]
WHERE, LONG = problem(256), problem(4096)
OLD = [steady(WHERE, JAX), steady(WHERE, EAGER), steady(LONG, JAX)]
SLOWER = steady(WHERE, JAX, 1.2e-3)


def newer(record: Run) -> Run:
    torch = replace(record.backends[1], versions={"torch": "2.7.0"})
    return replace(record, code="other", backends=(record.backends[0], torch))


class Results:
    """Two folders, and what ``diff`` says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys, self._count = folder, capsys, 0

    def write(self, *rows: Row, record: Run | None = None) -> Path:
        self._count += 1
        return written(self._folder / f"{self._count}", *rows, record=record)

    def diff(self, old: Path, new: Path, *words: str) -> tuple[int, str]:
        code = main(["diff", str(old), str(new), *words])
        return code, " ".join(self._capsys.readouterr().out.split())

    def changed(self, *new: Row, options: tuple[str, ...] = ()) -> tuple[int, str]:
        return self.diff(self.write(*OLD), self.write(*new), *options)

    def refusal(self, old: Path, new: Path, *words: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["diff", str(old), str(new), *words])
        out, err = self._capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        [line] = err.splitlines()
        assert line.startswith("compare diff: error: ")
        return line


@pytest.fixture
def results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Results:
    return Results(tmp_path, capsys)


def test_nothing_changed(results: Results) -> None:
    code, text = results.changed(*OLD)
    assert code == 0
    assert "No regression is certain: 9 SAME of 9 times; 12 SAME of 12 counts of bytes." in text
    assert "Worse" not in text


WORSE: dict[str, tuple[list[Row], str]] = {
    "slower": ([SLOWER, *OLD[1:]], "SLOWER 1.20x ±0.0% (1.00 ms -> 1.20 ms): forward, jax:naive:jit, B=4 T=256"),
    "memory": ([replace(OLD[0], saved_bytes=10**9), *OLD[1:]], "(1.0 MB -> 1.0 GB): saved, jax:naive:jit, B=4 T=256"),
    "disagreement": (
        [replace(OLD[0], agreement=agreement(False)), *OLD[1:]],
        "jax:naive:jit: its numbers disagree [B=4 T=256",
    ),
    "failing": ([OLD[0], out_of_memory(WHERE), OLD[2]], "torch:naive:eager: OOM in backward: CUDA out of memory"),
    "missing": (OLD[:2], "jax:naive:jit: is missing [B=4 T=4096 N=1 H=64 full float32 ieee]"),
}


@pytest.mark.parametrize("kind", WORSE)
def test_what_got_worse_is_told_and_fails_if_it_is_named(results: Results, kind: str) -> None:
    rows, said = WORSE[kind]
    code, text = results.changed(*rows)
    assert code == (0 if kind == "missing" else 1)
    assert ("No regression is certain" in text) == (kind == "missing")
    assert said in text.split("Worse ")[1].split("Every case")[0]
    assert results.changed(*rows, options=("--fail-on", kind))[0] == 1
    others = ",".join(each for each in WORSE if each != kind)
    assert results.changed(*rows, options=("--fail-on", others))[0] == 0
    code, text = results.changed(*rows, options=("--fail-on", "none"))
    assert (code, "No regression is certain" in text) == (0, kind == "missing")
    assert ("Regressions of a kind that does not fail here: " in text) == (kind != "missing")


def test_a_threshold_is_a_percentage_of_time_and_of_bytes(results: Results) -> None:
    assert results.changed(SLOWER, *OLD[1:], options=("--threshold", "25"))[0] == 0
    code, text = results.changed(steady(WHERE, JAX, 1.02e-3), *OLD[1:], options=("--threshold", "1"))
    assert (code, "beyond the threshold of 1%" in text) == (1, True)
    assert "beyond the threshold of 5%" in results.changed(*OLD)[1]
    gpu = replace(run(), settings=replace(run().settings, device="gpu"))
    assert "beyond the threshold of 3%" in results.diff(*(results.write(*OLD, record=gpu) for _ in "ab"))[1]


def test_a_threshold_below_what_processes_differ_by_is_cautioned_unless_enough_of_them_ran(results: Results) -> None:
    caution, five = "which a threshold of 5% holds and one of 2% may not", with_setting(processes=5)
    few, many = results.write(*OLD), [results.write(*OLD, record=five) for _ in range(2)]
    assert caution in results.diff(few, few, "--threshold", "2")[1]
    assert caution in results.diff(few, many[0], "--threshold", "2")[1]
    assert "may not" not in results.diff(*many, "--threshold", "2")[1]
    assert "may not" not in results.diff(few, few)[1]


def test_what_got_better_is_no_failure(results: Results) -> None:
    code, text = results.changed(steady(WHERE, JAX, 0.8e-3), *OLD[1:])
    assert code == 0
    assert "Better • FASTER 0.80x" in text


def test_what_is_undecided_is_told_in_part(results: Results) -> None:
    rows = [steady(problem(length), each) for length in (16, 32) for each in (JAX, EAGER, COMPILE)]
    wide = [
        replace(row, passes={n: replace(p, device_s=(0.9e-3, 1.2e-3) * 5) for n, p in row.passes.items()})
        for row in rows
    ]
    code, text = results.diff(results.write(*rows), results.write(*wide))
    assert code == 0
    assert text.count("UNDECIDED 1.05x") == 10
    assert "and 8 more, in the tables below" in text


def test_versions_may_differ_and_are_told(results: Results) -> None:
    old = results.write(*OLD)
    longer = newer(replace(run(), settings=replace(run().settings, budget_s=99.0, processes=5)))
    code, text = results.diff(old, results.write(*OLD, record=longer))
    assert code == 0
    for said in (
        "torch versions: torch 2.6.0 -> torch 2.7.0",
        "code: none -> other",
        "processes: 1 -> 5",
        "budget_s: 20",
    ):
        assert said in text
    assert "jax versions" not in text


def with_setting(**other: Any) -> Run:
    return replace(run(), settings=replace(run().settings, **other))


def with_variables(**variables: str) -> Run:
    return replace(run(), environment=run().environment | {"inherited": variables})


APART: dict[str, tuple[Run, str]] = {
    "device": (replace(run(), backends=(replace(run().backends[0], device_name="another"),)), "jax device_name"),
    "flags": (replace(run(), backends=(replace(run().backends[0], flags={"threads": "9"}),)), "jax flags"),
    "threads": (with_setting(threads=1), "threads: 2 -> 1"),
    "cache": (with_setting(cache="cold"), "cache: warm -> cold"),
    "workers": (with_setting(workers="contender"), "workers: backend -> contender"),
    "malloc": (with_setting(malloc="system"), "malloc: recycle -> system"),
    "processor": (replace(run(), host=run().host | {"processor": "i486"}), "host processor: none -> i486"),
    "variable": (with_variables(XLA_FLAGS="--fast"), "variable XLA_FLAGS: none -> --fast"),
}


@pytest.mark.parametrize("name", APART)
def test_what_else_changes_results_is_refused_with_the_difference(results: Results, name: str) -> None:
    record, said = APART[name]
    old, new = results.write(*OLD), results.write(*OLD, record=record)
    for pair in ((old, new), (new, old)):
        line = results.refusal(*pair)
        assert "settings differ" in line
    assert said in results.refusal(old, new)


def test_variables_that_name_versions_or_places_may_differ(results: Results) -> None:
    places = with_variables(CUDA_VERSION="13.0.2", CUDA_HOME="/usr/local/cuda", CUDA_VISIBLE_DEVICES="3")
    code, text = results.diff(results.write(*OLD), results.write(*OLD, record=places))
    assert code == 0
    assert "variable CUDA_VERSION: none -> 13.0.2" in text
    assert "CUDA_VISIBLE_DEVICES" not in text


def test_bad_input_is_one_line(results: Results, tmp_path: Path) -> None:
    old = results.write(*OLD)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(msgspec.json.encode(run()) + b'\n{"kind":"meas')
    assert "torn.jsonl, line 2" in results.refusal(old, torn)
    assert "found none" in results.refusal(old, tmp_path / "nowhere")
    assert "share no measured case" in results.refusal(old, results.write(steady(problem(99))))
    assert "slower,memory,disagreement,failing,missing or none, got 'speed'" in results.refusal(
        old, old, "--fail-on", "speed"
    )
    assert "percentage" in results.refusal(old, old, "--threshold", "0")


def test_markdown_holds_the_same(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = results.write(*OLD), results.write(SLOWER, *OLD[1:])
    assert main(["diff", str(old), str(new), "--format", "markdown"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("# What changed\n\n## In short\n\nRegressions: 3 SLOWER, 6 SAME of 9 times")
    assert (
        "| jax:naive:jit | 1.20x ±0.0%<br>SLOWER | 1.20x ±0.0%<br>SLOWER | 1.20x ±0.0%<br>SLOWER | 1.00x | 1.00x |"
        in text
    )


@pytest.mark.parametrize("name", ["cpu", "h100/bfloat16", "h100/sparse", "h200/float32-tf32"])
def test_committed_results_fit_80_columns_and_have_not_changed(
    results: Results, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    where = str(ROOT / "results" / name)
    assert main(["diff", where, where]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "No regression is certain" in text
