"""What ``select`` says beside its answer: why, of what, and what would be right."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from compare.measure.search import RECORDS, Reach
from compare.schema.records import RESIDENT, Contender, Measurement
from tests.choosing.asked import printed, refusal, said
from tests.choosing.rows import FUSED, steady, written
from tests.samples import EAGER, JAX, out_of_memory, problem, run

LONG = problem(4096)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return written(tmp_path / "results", steady(LONG, JAX, 4e-2), steady(LONG, EAGER, 1e-2, costs={}))


def test_a_search_of_another_problem_is_told_with_what_it_was_of(
    capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path
) -> None:
    of = problem(9216, 128)
    found = [
        Reach(problem=of, contender=each, pass_name=name, longest=9216, refused=None, reason="", tries={})
        for each in (JAX, EAGER)
        for name in ("forward", "step")
    ]
    searched = tmp_path / "reach"
    searched.mkdir()
    (searched / RECORDS).write_bytes(b"\n".join(map(msgspec.json.encode, (run(), *found))))
    text = said(capsys, results, searched)
    assert "is of B=4 N=1 H=128 full float32 ieee (jax:naive:jit, forward), " in text
    assert " and 1 other, and of no contender here in B=4 N=1 H=64 full float32 ieee (step); --max-seq-len" in text
    assert "can be given beside these" not in text


def test_numbers_of_devices_are_choices_of_their_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ring, shared = replace(EAGER, variant="ring"), replace(LONG, devices=2)
    rows = [steady(LONG, FUSED, 4e-3), steady(LONG, EAGER, 6e-3), steady(shared, ring, 3e-3), steady(shared, JAX, 5e-3)]
    text = said(capsys, written(tmp_path / "scaling", *rows))
    one, two = text.split("float32 ieee, training (step), ")[1:]
    assert one.startswith("AMD EPYC 7B13 Take torch:fused:compile: 4.00 ms")
    assert two.startswith("2 devices of AMD EPYC 7B13 Take torch:ring:eager: 3.00 ms")
    assert "2 devices: torch:ring:eager at 0.75x ±0.0% (not measured in turns) of torch:fused:compile here" in one
    assert "1 device: torch:fused:compile at 1.33x ±0.0% (not measured in turns) of torch:ring:eager here" in two
    assert "another precision" not in text
    assert "was not measured [" not in text


def test_that_compiling_never_pays_has_a_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [steady(LONG, EAGER, 2e-3, wall=1.0, costs={}), steady(LONG, FUSED, 1e-3, wall=3.0)]
    text = said(capsys, written(tmp_path / "a", *rows))
    assert "which never pays beside torch:naive:eager: in wall-clock time the mix takes 1.00 ms longer" in text


@pytest.mark.parametrize("given", ["-1GB", "-5", "0", "many"])
def test_a_memory_limit_that_is_none_is_refused_with_what_would_be_one(
    capsys: pytest.CaptureFixture[str], results: Path, given: str
) -> None:
    line = refusal(capsys, results, "--memory-limit", given)
    assert f"--memory-limit: expected a size above 0 such as 500000000, 500MB or 40GB, got '{given}'" in line


def test_an_answer_fits_80_columns_whatever_the_names_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    own = replace(EAGER, variant="some/where/my_kernels_of_today.py:attention_with_a_long_name_and_some_more")
    text = printed(capsys, written(tmp_path / "a", steady(LONG, JAX, 1e-3), steady(LONG, own, 2e-3)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    [line] = [line for line in text.splitlines() if line.startswith("jax:naive:jit ")]
    assert line.endswith(" 3.1e-07")


def peaked(contender: Contender, peak_bytes: int, source: str) -> Measurement:
    row = steady(LONG, contender)
    passes = {
        name: replace(each, peak_bytes=peak_bytes, peak_source=source, buffer_bytes=peak_bytes // 2)
        for name, each in row.passes.items()
    }
    return replace(row, passes=passes)


@pytest.mark.parametrize(("source", "times", "won"), [("counter", 1.1, 1), (RESIDENT, 1.1, 0), (RESIDENT, 1.6, 1)])
def test_growth_of_resident_memory_names_nobody_by_less_than_it_varies(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, source: str, times: float, won: int
) -> None:
    rows = [peaked(JAX, 10**9, source), peaked(EAGER, round(times * 10**9), "counter")]
    text = said(capsys, written(tmp_path / "a", *rows), "--goal", "memory")
    assert ("Take jax:naive:jit: 1.0 GB. The next is torch:naive:eager at" in text) == bool(won)
    assert ("torch:naive:eager at 1.10x (UNDECIDED) may be as good. Peak is growth of resident" in text) != bool(won)


def test_lengths_at_which_growth_of_resident_memory_crosses_a_count_are_no_certain_ones(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    short = problem(256)
    ours = [peaked(JAX, 10**9, RESIDENT), replace(peaked(JAX, 10**7, RESIDENT), problem=short)]
    others = [peaked(EAGER, 9 * 10**8, "counter"), replace(peaked(EAGER, 11 * 10**6, "counter"), problem=short)]
    text = said(capsys, written(tmp_path / "a", *ours, *others), "--goal", "memory")
    assert "no certain crossing of torch:naive:eager with jax:naive:jit within T=256 to 4096" in text


def test_a_contender_that_failed_in_a_process_is_not_taken_without_a_word(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [steady(LONG, JAX, 2e-3), steady(LONG, EAGER, 1e-3), replace(steady(LONG, JAX, 2e-3), process=2)]
    record = replace(run(), settings=replace(run().settings, processes=2))
    lost = replace(out_of_memory(LONG, EAGER), process=2, reason="gone")
    text = said(capsys, written(tmp_path / "a", *rows, lost, record=record))
    assert "Take torch:naive:eager: 1.00 ms" in text
    assert "torch:naive:eager also failed: process 2: OOM in backward: gone." in text
