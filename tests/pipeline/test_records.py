"""The whole way from the command line to the report on the fakes: what is recorded, judged and shown."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare import backends
from compare.cli import study
from compare.cli.main import main
from compare.measure import verification
from compare.results import store
from compare.schema.records import PASSES
from compare.verify import process
from tests.fake_attn import adapter, profiler
from tests.fake_attn.variants.naive import BACKWARD_NS, FORWARD_NS
from tests.run_fake import arguments, outcome, outcomes, row, rows_of

FORWARD_S, BACKWARD_S = sum(FORWARD_NS.values()) / 1e9, sum(BACKWARD_NS.values()) / 1e9
TIMES_S = {"forward": FORWARD_S, "backward": BACKWARD_S, "step": FORWARD_S + BACKWARD_S}
# B=2, T=S=16, H=8, one head, float32
MATRIX, TENSOR = 2 * 16 * 16 * 4, 2 * 16 * 8 * 4
PEAKS = {
    "forward": 2 * MATRIX + TENSOR,
    "backward": 2 * MATRIX + 3 * TENSOR,
    "step": MATRIX + TENSOR + 2 * MATRIX + 3 * TENSOR,
}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / store.RESULTS).read_text().splitlines()]


def public(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}


def test_the_fake_follows_the_protocol() -> None:
    assert public(backends.Programs) <= public(adapter.Programs)
    assert public(backends.Adapter) <= public(adapter.Adapter)
    assert isinstance(profiler.SOURCE, str)


def test_planned_times_memory_and_ratio_come_out(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(out, "fake:naive", "fake2:slow")) == 0
    naive, slow = row(out, "fake:naive:eager"), row(out, "fake2:slow:eager")
    for name in PASSES:
        assert naive.passes[name].device_s == pytest.approx((TIMES_S[name],) * 6)
        assert slow.passes[name].device_s == pytest.approx((1.25 * TIMES_S[name],) * 6)
        assert naive.passes[name].peak_bytes == slow.passes[name].peak_bytes == PEAKS[name]
        assert naive.passes[name].peak_source == profiler.SOURCE
        assert min(naive.passes[name].wall_s) > 0
    assert naive.saved_bytes == slow.saved_bytes == MATRIX
    assert (naive.input_bytes, naive.output_bytes) == (3 * TENSOR, TENSOR)
    text, ratio = capsys.readouterr().out, "1.25x ±0.0%"
    by_the_wall = text.count(f"({ratio}), FASTER by wall-clock time")  # whose clock is real: it may say anything
    assert text.count(ratio) - by_the_wall == 2 * len(PASSES)  # as the problem finishes, and in the report
    assert (out / store.REPORT).read_text().count(f"{ratio} | SLOWER |") == len(PASSES)


def test_results_hold_every_record(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake:unsupported", "fake2:slow"))
    found = lines(out)
    assert Counter(line["kind"] for line in found) == {"run": 3, "measurement": 2, "skip": 1}  # alone, fake, fake2
    assert [line["kind"] for line in found[:3]] == ["run"] * 3
    measured = next(line for line in found if line["kind"] == "measurement")
    assert {"agreement", "warnings", "passes", "saved_bytes", "costs", "stopped"} <= measured.keys()
    run, rows = store.read(out / store.RESULTS)
    assert [report.backend for report in run.backends] == ["fake", "fake2"]
    assert [line["kind"] for line in found[3:]] == ["skip", "measurement", "measurement"]  # as they became known,
    assert [outcome(each) for each in rows] == ["ok", "ok", "skip"]  # and as they are shown
    assert row(out, "fake:unsupported:eager").reason == "needs a head size of 7, got 8"


def test_kernels_are_those_of_one_iteration(out: Path) -> None:
    main(arguments(out, "fake:naive"))
    step = row(out, "fake:naive:eager").passes["step"].kernels
    assert {kernel.name: kernel.count for kernel in step} == dict.fromkeys(FORWARD_NS | BACKWARD_NS, 1)
    assert sum(kernel.device_s for kernel in step) == pytest.approx(TIMES_S["step"])


def test_every_tensor_of_every_pass_is_judged(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake2:naive"))
    verdict = row(out, "fake:naive:eager").agreement
    tensors = {"forward.out", "backward.dq", "backward.dk", "backward.dv"}
    tensors |= {f"step.{name}" for name in ("out", "dq", "dk", "dv")}
    assert {each.tensor for each in verdict.tensors} == tensors
    assert verdict.checked_slices == verdict.slices == 2
    assert (verdict.other, verdict.other_error) == ("fake2:naive:eager", 0.0)


def test_a_disagreement_is_exit_code_1_and_has_no_ratio(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(out, "fake:naive", "fake2:wrong")) == 1
    assert outcomes(out) == {("fake:naive:eager", 16): "ok", ("fake2:wrong:eager", 16): "wrong"}
    failing = {each.tensor for each in row(out, "fake2:wrong:eager").agreement.tensors if not each.agrees}
    assert failing == {"forward.out", "step.out"}
    text = capsys.readouterr().out
    assert "no ratio" in text
    assert "1.00x" not in text
    assert "1.00x" not in (out / store.REPORT).read_text()


def test_a_failure_is_exit_code_3_and_an_out_of_memory_is_none(tmp_path: Path) -> None:
    assert main(arguments(tmp_path / "a", "fake:raises", "fake2:naive")) == 3
    assert main(arguments(tmp_path / "b", "fake:oom", "fake2:naive")) == 0


def test_the_report_has_all_sections(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake2:slow", seq_lens=(8, 16)))
    text = (out / store.REPORT).read_text()
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    for title in (
        "Side by side",
        "Memory analysis",
        "Performance summary",
        "Out-of-memory analysis",
        "Numeric agreement",
        "What was timed",
        "Wall-clock time and device time",
        "Costs before the first sample",
        "Warnings",
        "Skipped and failed",
    ):
        assert title in titles, title
    assert "d_model | seq_len | batch_size" in text
    assert "Attention benchmark: fake and fake2" in text


def test_rows_are_in_the_file_before_the_next_problem_starts(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, int] = {}
    stage = study.Study.stage

    def spy(self: Any, problem: Any, text: str) -> None:
        seen.setdefault(problem.q_len, sum(line["kind"] == "measurement" for line in lines(out)))
        stage(self, problem, text)

    monkeypatch.setattr(study.Study, "stage", spy)
    main(arguments(out, "fake:naive", "fake2:naive", seq_lens=(8, 16, 32)))
    assert seen == {8: 0, 16: 2, 32: 4}


def test_progress_is_plain_lines_away_from_a_terminal(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(out, "fake:naive", seq_lens=(8, 16)))
    captured = capsys.readouterr()
    assert "[1/2] B=2 T=8 N=1 H=8 causal float32 ieee: fake:naive:eager: first calls and warm-up" in captured.out
    assert "[2/2] B=2 T=16" in captured.out
    assert captured.out.count("rounds 1 to 6") == captured.out.count(": verifying numbers with the float64 oracle") == 2
    assert "round 2" not in captured.out
    assert "\x1b" not in captured.out + captured.err
    assert "\r" not in captured.out + captured.err
    assert captured.err == ""


def test_in_every_table_contenders_stand_as_named_and_those_without_numbers_behind_them(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(out, "fake:unsupported", "fake:raises", "fake:slow", "fake2:naive")) == 3
    assert main(["report", str(out)]) == 0
    names = ["fake:slow:", "fake2:naive:", "fake:raises:", "fake:unsupported:"]
    rows = re.findall(rf"^({'|'.join(names)}).*[±–]", capsys.readouterr().out, re.MULTILINE)
    assert rows == names * 3  # while it runs, at the end, and drawn anew


def test_what_a_worker_prints_damages_nothing(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(out, "fake:naive", "fake:noisy", "fake2:noisy")) == 0
    captured = capfd.readouterr()
    assert "NOISE" not in captured.out + captured.err
    assert b"NOISE" not in (out / store.RESULTS).read_bytes()
    assert set(outcomes(out).values()) == {"ok"}


def test_forward_only(out: Path) -> None:
    assert main([*arguments(out, "fake:naive", "fake2:slow"), "--pass", "forward"]) == 0
    found = row(out, "fake2:slow:eager")
    assert list(found.passes) == ["forward"]
    assert list(found.costs) == ["forward"]
    assert found.saved_bytes is None
    assert [each.tensor for each in found.agreement.tensors] == ["forward.out"]
    side_by_side = (out / store.REPORT).read_text().split("## Side by side")[1].split("\n## ")[0]
    assert "| forward |" in side_by_side
    assert "backward" not in side_by_side


@pytest.mark.parametrize("passes", [("backward",), ("step",), ("forward", "step")])
def test_saved_bytes_need_no_backward_pass_of_their_own(out: Path, passes: tuple[str, ...]) -> None:
    assert main([*arguments(out, "fake:naive"), "--pass", *passes]) == 0
    found = row(out, "fake:naive:eager")
    assert tuple(found.passes) == passes
    assert found.saved_bytes == MATRIX
    assert all(found.passes[name].peak_bytes == PEAKS[name] for name in passes)


def test_the_seed_changes_the_inputs_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[Any] = []
    agreements = verification.agreements

    def spy(problem: Any, settings: Any, folders: Any, *rest: Any) -> Any:
        outputs.extend(process.load(folder)["forward.out.first"].copy() for folder in folders.values())
        return agreements(problem, settings, folders, *rest)

    monkeypatch.setattr(verification, "agreements", spy)
    for at, seed in enumerate(("1", "1", "2")):
        assert main([*arguments(tmp_path / str(at), "fake:naive"), "--seed", seed]) == 0
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_a_dtype_that_a_backend_lacks_is_a_skip_for_all_its_contenders(out: Path) -> None:
    assert main([*arguments(out, "fake:naive", "fake:slow"), "--dtype", "bfloat16", "float16"]) == 0
    found = Counter((each.problem.dtype, outcome(each)) for each in rows_of(out))
    assert found == {("bfloat16", "skip"): 2, ("float16", "ok"): 2}


def test_both_means_all_backends(out: Path) -> None:
    assert main(["--backend", "both", *arguments(out)]) == 0
    assert list(outcomes(out)) == [("fake:naive:eager", 16), ("fake2:naive:eager", 16)]


def test_grouped_heads_and_other_key_lengths_run_through(out: Path) -> None:
    more = ["--heads", "4", "--kv-heads", "2", "--kv-len", "24", "--mask", "strided:4", "window:3"]
    assert main([*arguments(out, "fake:naive", "fake2:slow"), *more]) == 0
    assert [outcome(each) for each in rows_of(out)] == ["ok"] * 4


def test_the_paths_are_printed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / ("long-" * 20) / "run[bold]" / "x[" / "y]"
    assert main([*arguments(out, "fake:naive"), "--pass", "forward"]) == 0
    assert str(out / store.REPORT) in capsys.readouterr().out
