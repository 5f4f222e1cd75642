"""``select`` as it is typed: what it answers, in 80 columns too, and how bad input ends."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from compare.measure.search import RECORDS, Reach
from compare.schema.records import Notice
from tests.choosing.asked import printed, refusal, said
from tests.choosing.rows import FUSED, steady, written
from tests.samples import COMPILE, EAGER, JAX, agreement, problem, run

ROOT = Path(__file__).parents[2]
SHORT, LONG = problem(256), problem(4096)
HALF = replace(LONG, dtype="bfloat16", matmul_precision="default")
ROWS = [
    steady(SHORT, JAX, 1e-3),
    steady(SHORT, EAGER, 2e-3, costs={}),
    steady(LONG, JAX, 4e-2),
    steady(LONG, EAGER, 1e-2, costs={}),
    steady(LONG, FUSED, 1e-4, agreement=agreement(False)),
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return written(tmp_path / "results", *ROWS)


def test_the_answer_comes_first_with_what_it_costs(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    text = said(capsys, results, "--goal", "latency")
    answer = text.split("Side by side")[0]
    assert answer.startswith("float32 ieee, forward, AMD EPYC 7B13 Take torch:naive:eager: 12.0 ms ±0.")
    assert "The next is jax:naive:jit at 3.42x ±0." in answer
    assert "83% of its time goes into B=4 T=4096" in answer
    assert "costs nothing to compile; " in answer
    assert "an error of 3.1e-07 against float64" in answer


def test_where_the_recommendation_changes(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    text = said(capsys, results, "--goal", "latency")
    crossover = "alone B=4 T=256 N=1 H=64 full float32 ieee would take jax:naive:jit, torch:naive:eager being at 2.00x"
    assert crossover in text
    assert "torch:naive:eager overtakes jax:naive:jit between T=256 and 4096 (interpolated 645), B=4 N=1" in text
    assert "assumes a straight line in log-log space" in text


def test_who_is_left_out_and_what_was_not_measured(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    text = said(capsys, results)
    assert "torch:fused:compile: its numbers disagree [B=4 T=4096 N=1 H=64 full float32 ieee]" in text
    assert "torch:fused:compile: was not measured [B=4 T=256" in text
    assert "FlashAttention: not measured" in text
    assert "--max-seq-len finds it" in text


def test_what_one_precision_lacks_and_what_disturbed_the_rows_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    noted = (Notice(code="throttled", text="the GPU was slowed down"),)
    rows = [
        steady(SHORT, JAX),
        steady(LONG, JAX),
        steady(HALF, JAX, warnings=noted),
        steady(HALF, EAGER, warnings=noted),
    ]
    text = said(capsys, written(tmp_path / "a", *rows))
    whole, half = sorted(text.split("training (step)")[1:], key=lambda part: "throttled" in part)
    assert "B=4 T=256 N=1 H=64 full bfloat16, as in another precision" in half
    assert "as these warnings of the compared rows say: throttled (2 times)" in half
    assert "warnings" not in whole


def test_weights_turn_the_answer(capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.toml"
    weights.write_text("[[calls]]\nweight = 500\nq_len = 256\n[[calls]]\nq_len = 4096\n")
    text = said(capsys, results, "--goal", "latency", "--weights", weights)
    assert "Take jax:naive:jit" in text
    assert "T=256 (500 times), T=4096 (once)" in text
    weights.write_text("[[calls]]\nweight = 2\nq_len = 256\n[[calls]]\nweight = 0.5\nq_len = 4096\n")
    assert "T=256 (twice), T=4096 (0.5 times)" in said(capsys, results, "--goal", "latency", "--weights", weights)


def test_no_winner_is_named_where_none_is_certain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    level = written(tmp_path / "level", steady(LONG, JAX), steady(LONG, EAGER, 1.02e-3), steady(LONG, COMPILE, 9e-3))
    text = said(capsys, level)
    assert (
        "No winner: jax:naive:jit (1.00 ms ±0.0%) leads, but torch:naive:eager at 1.02x ±0.0% (UNDECIDED) may" in text
    )
    assert "--processes 5 could decide it" in text
    assert "Take " not in text
    same = written(tmp_path / "same", steady(LONG, EAGER), steady(LONG, COMPILE, 1.002e-3))
    text = said(capsys, same)
    assert "No winner: torch:naive:compile at 1.00x ±0.0% is within 1% of torch:naive:eager (1.00 ms ±0.0%)" in text
    assert text.count("of tracing and compiling") == 2  # what both cost decides instead


def test_a_narrow_lead_in_one_process_is_cautioned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    near, far = ([steady(LONG, EAGER), steady(LONG, COMPILE, time_s)] for time_s in (1.02e-3, 1.05e-3))
    caution, twice = "The lead is narrow", replace(run(), settings=replace(run().settings, processes=2))
    assert caution in said(capsys, written(tmp_path / "near", *near))
    assert caution not in said(capsys, written(tmp_path / "far", *far))
    assert caution not in said(capsys, written(tmp_path / "twice", *near, record=twice))


def test_by_the_wall_another_may_be_ahead(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [steady(LONG, JAX, 1e-3, wall=9.0), steady(LONG, EAGER, 2e-3, wall=1.1)]
    assert "torch:naive:eager takes only 0.24x ±0." in said(capsys, written(tmp_path / "a", *rows))
    level = [steady(LONG, JAX, 1e-3, wall=2.0), steady(LONG, EAGER, 1.1e-3, wall=1.8)]  # 1% apart by the wall
    assert "In wall-clock time" not in said(capsys, written(tmp_path / "b", *level))


def test_another_precision_is_shown_beside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [steady(LONG, JAX, 4e-3), steady(HALF, JAX, 3e-3), steady(HALF, FUSED, 1e-3)]
    text = said(capsys, written(tmp_path / "a", *rows))
    assert "bfloat16: torch:fused:compile at 0.25x ±0.0% (not measured in turns) of jax:naive:jit here" in text
    assert "Nothing to choose: only jax:naive:jit can be compared" in text


def test_a_memory_limit_can_leave_nobody(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    text = said(capsys, results, "--memory-limit", "1kB")
    assert "No contender can be compared over the whole of this mix." in text
    assert "jax:naive:jit and torch:naive:eager: over the memory limit [B=4 T=256" in text


def test_without_one_for_the_whole_mix_each_problem_has_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [steady(SHORT, JAX), steady(SHORT, EAGER, 2e-3), steady(LONG, FUSED), steady(LONG, COMPILE, 3e-3)]
    text = said(capsys, written(tmp_path / "a", *rows))
    assert "No contender can be compared over the whole of this mix." in text
    assert "alone B=4 T=256 N=1 H=64 full float32 ieee would take jax:naive:jit •" in text
    assert "alone B=4 T=4096 N=1 H=64 full float32 ieee would take torch:fused:compile" in text


def test_memory_is_compared_as_a_count(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    rows = [steady(LONG, JAX), steady(LONG, EAGER)]
    first = {name: replace(each, peak_bytes=10**9) for name, each in rows[0].passes.items()}
    second = {name: replace(each, peak_bytes=10**8, peak_source="a count") for name, each in rows[1].passes.items()}
    parts = (replace(rows[0], passes=first), replace(rows[1], passes=second))
    text = said(capsys, written(results / "memory", *parts), "--goal", "memory")
    assert "Take torch:naive:eager: 100.0 MB. The next is jax:naive:jit at 10.0x." in text
    assert "peaks in one way: a count (torch, 3 passes); allocator (jax, 3 passes)" in text


def test_the_longest_sequence_stands_in_the_answer_where_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path
) -> None:
    found = Reach(
        problem=problem(9216), contender=EAGER, pass_name="step", longest=9216, refused=9344, reason="OOM", tries={}
    )
    searched = tmp_path / "reach"
    searched.mkdir()
    (searched / RECORDS).write_bytes(b"\n".join(map(msgspec.json.encode, (run(), found))))
    for given in (searched, searched / RECORDS):
        text = said(capsys, results, given)
        assert "sequences up to 9216 (step)" in text
        assert "--max-seq-len finds it" not in text
    assert "--max-seq-len results hold no times" in refusal(capsys, searched)
    other = replace(run(), backends=(replace(run().backends[0], device_name="another"),))
    (searched / RECORDS).write_bytes(b"\n".join(map(msgspec.json.encode, (other, found))))
    assert "jax device_name is another" in refusal(capsys, results, searched)


def test_several_runs_are_one_choice_if_they_belong_together(
    capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path
) -> None:
    longer = replace(run(), settings=replace(run().settings, budget_s=99.0))
    more = written(tmp_path / "more", steady(problem(1024), JAX), steady(problem(1024), EAGER), record=longer)
    assert "T=256, T=1024, T=4096" in said(capsys, results, more)
    cold = replace(run(), settings=replace(run().settings, cache="cold"))
    assert "cache is cold" in refusal(capsys, results, written(tmp_path / "cold", *ROWS[:1], record=cold))
    assert "in separate runs" in refusal(capsys, results, written(tmp_path / "again", steady(SHORT, COMPILE)))


def test_markdown_holds_the_same(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    text = printed(capsys, results, "--goal", "latency", "--format", "markdown")
    assert text.startswith(
        "# Recommendation\n\n## float32 ieee, forward, AMD EPYC 7B13\n\nTake torch:naive:eager: 12.0 ms"
    )
    assert "| contender | the mix takes | times the first | peak (MB) | saved (MB) | compile (s) | error |" in text
    assert "| jax:naive:jit | 41.0 ms ±0.0% | 3.42x ±0.0%<br>SLOWER |" in text


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(msgspec.json.encode(run()) + b'\n{"kind":"meas')
    assert "torn.jsonl, line 2" in refusal(capsys, torn)
    assert "found none" in refusal(capsys, tmp_path / "nowhere")
    nothing = written(tmp_path / "nothing", steady(LONG, JAX, 0.0), steady(LONG, EAGER, 0.0))
    assert "nothing/results.jsonl, line 2" in refusal(capsys, nothing)  # times of 0
    assert "preset=gpt2-small; measured: B=4 T=256" in refusal(capsys, results, "--preset", "gpt2-small")
    assert "gpt2-small" in refusal(capsys, results, "--preset", "gpt-9")
    assert "500MB" in refusal(capsys, results, "--memory-limit", "lots")
    assert "not allowed with" in refusal(capsys, results, "--preset", "gpt2-small", "--weights", torn)
    assert "latency" in refusal(capsys, results, "--goal", "speed")
    assert "possible in an entry of calls" in refusal(capsys, results, "--weights", torn)
    assert "no measured problem" in refusal(capsys, written(tmp_path / "empty"))


@pytest.mark.parametrize(
    "name", ["cpu", "h100/bfloat16", "h100/remedies", "h100/sparse", "h100/presets", "h200/bfloat16"]
)
@pytest.mark.parametrize("goal", ["latency", "training", "memory"])
def test_committed_results_get_an_answer_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, goal: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(capsys, ROOT / "results" / name, "--goal", goal)
    assert max(map(len, text.splitlines())) <= 80
    assert any(words in text for words in ("Take ", "No winner", "Nothing to choose", "No contender"))


@pytest.mark.parametrize("name", ["jax-naive-jit", "torch-naive-compile", "torch-naive-eager"])
@pytest.mark.parametrize("seat", ["backend", "contender"])
def test_of_a_contender_against_itself_none_is_taken(capsys: pytest.CaptureFixture[str], name: str, seat: str) -> None:
    text = said(capsys, ROOT / "results" / "h100" / "aa" / f"{seat}-{name}.jsonl")
    assert "No winner" in text
    assert "Take " not in text


def test_no_framework_is_imported(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(sys.modules)
    said(capsys, results)
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"jax", "jaxlib", "torch"}
