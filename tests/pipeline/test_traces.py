"""--trace, the whole way: what is kept of a run on the fakes, and that nothing else changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from compare.analysis.notices import worded
from compare.cli import publishing
from compare.cli.main import main
from compare.measure import traces
from compare.schema.records import PASSES, Measurement, PassName
from compare.worker.protocol import End
from tests.run_fake import arguments, outcomes, row, rows_of


def events(out: Path, seq_len: int = 16) -> list[dict[str, Any]]:
    file = out / "traces" / f"B2-T{seq_len}-N1-H8-causal-float32-ieee.json"
    found: list[dict[str, Any]] = json.loads(file.read_text())["traceEvents"]
    return found


def spans(out: Path, process: str, **wanted: Any) -> list[dict[str, Any]]:
    """The spans of a contender."""
    named = {each["args"]["name"]: each["pid"] for each in events(out) if each["name"] == "process_name"}
    found = [each for each in events(out) if each["ph"] == "X" and each["pid"] == named[process]]
    return [each for each in found if all(each[key] == value for key, value in wanted.items())]


def test_each_contender_shows_each_pass_from_the_same_moment(out: Path) -> None:
    assert main([*arguments(out, "fake:naive", "fake:slow", "fake2:naive", seq_lens=(8, 16)), "--trace"]) == 0
    assert {path.name for path in (out / "traces").iterdir()} == {
        f"B2-T{seq_len}-N1-H8-causal-float32-ieee.json" for seq_len in (8, 16)
    }
    starts = []
    for name in ("fake:naive:eager", "fake:slow:eager", "fake2:naive:eager"):
        windows = spans(out, name, cat="window")
        assert [each["name"] for each in windows] == list(PASSES)
        starts.append([each["ts"] for each in windows])
        for window in windows:
            inside = [
                each
                for each in spans(out, name)
                if each["cat"] != "window" and window["ts"] <= each["ts"] <= window["ts"] + window["dur"]
            ]
            kernels = row(out, name, 16).passes[window["name"]].kernels
            assert sorted(each["name"] for each in inside) == sorted(each.name for each in kernels)
            assert sum(each["dur"] for each in inside) == pytest.approx(sum(each.device_s for each in kernels) * 1e6)
            assert window["args"]["device time of this iteration (ms)"] == window["args"]["median of the samples (ms)"]
    assert starts[0] == starts[1] == starts[2]
    assert {each["cat"] for each in spans(out, "fake:naive:eager", name="softmax")} == {"softmax"}
    assert spans(out, "fake:naive:eager", name="scores")[0]["args"] == {"kind": "matmul", "contents": "dot"}


def test_memory_is_a_counter_that_reaches_the_rows_peak(out: Path) -> None:
    assert main([*arguments(out, "fake:naive"), "--trace", "--pass", "step"]) == 0
    levels = [each["args"]["bytes"] for each in events(out) if each["ph"] == "C"]
    assert levels[0] == 0
    assert max(levels) <= row(out, "fake:naive:eager").passes["step"].peak_bytes
    assert max(levels) > 0


def test_a_run_without_it_keeps_nothing_and_measures_the_same(tmp_path: Path) -> None:
    for name, flags in (("plain", []), ("traced", ["--trace"])):
        assert main([*arguments(tmp_path / name, "fake:naive", "fake2:slow"), *flags]) == 0
    assert not (tmp_path / "plain" / "traces").exists()
    assert "Traces" not in (tmp_path / "plain" / "report.md").read_text()
    for plain, traced in zip(rows_of(tmp_path / "plain"), rows_of(tmp_path / "traced"), strict=True):
        assert isinstance(plain, Measurement)
        assert isinstance(traced, Measurement)
        assert [each.device_s for each in plain.passes.values()] == [each.device_s for each in traced.passes.values()]


def test_of_several_processes_the_first_is_traced(out: Path) -> None:
    assert main([*arguments(out, "fake:naive"), "--trace", "--processes", "2"]) == 0
    assert len([each for each in events(out) if each["name"] == "process_name"]) == 1


def test_reports_link_the_files_that_are_there(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "installed", lambda name: name != "matplotlib")
    assert main([*arguments(out, "fake:naive", seq_lens=(8, 16)), "--trace"]) == 0
    (out / "traces" / "B2-T8-N1-H8-causal-float32-ieee.json").unlink()
    own = out / "traces" / "plugins" / "profile" / "B2-T16-N1-H8-causal-float32-ieee-1-fake" / "host.xplane.pb"
    own.parent.mkdir(parents=True)
    own.touch()
    assert main(["report", str(out), "-o", str(out)]) == 0
    text, page = (out / "report.md").read_text(), (out / "report.html").read_text()
    linked = re.findall(r"\[([^\]]*)\]\((traces/[^)]*)\)", text)
    assert [label for label, _ in linked] == ["all", "1-fake"]
    for _, path in linked:
        assert (out / path).exists()
        assert f'href="{path}"' in page


def test_a_contender_that_dies_in_its_trace_keeps_its_row_and_the_others_their_files(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = traces.taken

    def refused(row: Measurement, *rest: Any) -> Any:
        if row.contender.variant == "slow":
            raise traces.Lost("the worker was killed")
        return taken(row, *rest)

    monkeypatch.setattr(traces, "taken", refused)
    assert main([*arguments(out, "fake:slow", "fake:naive"), "--trace"]) == 0
    assert set(outcomes(out).values()) == {"ok"}
    notices = [worded(each) for each in row(out, "fake:slow:eager").warnings if each.code == "no-trace"]
    assert notices == ["no complete trace: the worker was killed"]
    assert spans(out, "fake:naive:eager", cat="window")


def test_a_pass_whose_profile_cannot_be_true_is_left_out_and_said(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def more(count: dict[str, dict[PassName, int]]) -> End:
        return End(count={name: dict.fromkeys(each, traces.ITERATIONS + 1) for name, each in count.items()})

    monkeypatch.setattr(traces, "End", more)
    assert main([*arguments(out, "fake:naive"), "--trace"]) == 0
    [notice] = [worded(each) for each in row(out, "fake:naive:eager").warnings if each.code == "no-trace"]
    assert notice.startswith("no complete trace: forward: expected 6 windows in the trace, got 5; backward: ")
    assert not spans(out, "fake:naive:eager")


def test_a_folder_that_cannot_be_written_costs_no_row(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "FOLDER", "results.jsonl")  # which is a file
    assert main([*arguments(out, "fake:naive"), "--trace"]) == 0
    assert [each.code for each in row(out, "fake:naive:eager").warnings if "trace" in each.code] == ["no-trace"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--max-seq-len"], "--max-seq-len times nothing; leave --trace out"),
        (["--executor", "ray"], "--trace runs on this machine only; leave --executor ray out"),
    ],
)
def test_it_is_refused_where_it_cannot_be(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--contender", "fake:naive", "--trace", *given])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"compare: error: {said}\n"
