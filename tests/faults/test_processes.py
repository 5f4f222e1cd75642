"""Time-outs and interrupts: no process is left, no finished row is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.cli.main import main
from compare.measure import runner
from compare.results import store
from tests.run_fake import arguments, marked, outcomes

ROOT = Path(__file__).resolve().parents[2]


def test_a_timeout_ends_the_whole_process_group(out: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    failure = runner.OneProcess._failure

    def spy(self: runner.OneProcess, *arguments: object) -> object:
        end = time.monotonic() + 1  # a killed process takes a moment to leave /proc
        while marked(mark) and time.monotonic() < end:
            time.sleep(0.01)
        seen.append(marked(mark))
        return failure(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runner.OneProcess, "_failure", spy)
    assert main([*arguments(out, "fake:hangs"), "--timeout", "2"]) == 3
    assert seen == [set()]  # the worker and its `sleep` are gone as soon as the failure is known


def until(holds: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)


def started_program(out: Path, tmp_path: Path, *contenders: str, **variables: str) -> subprocess.Popen[str]:
    """The program on the fakes in a process of its own, its temporary files in ``tmp_path/tmp``."""
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "tests.run_fake", *arguments(out, *contenders, seq_lens=(8, 16))]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")} | variables
    with (tmp_path / "stdout").open("w") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=output, stderr=output)


def log_of(tmp_path: Path) -> str:
    return (tmp_path / "stdout").read_text()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_finished_rows(out: Path, tmp_path: Path, mark: str, signal_number: int) -> None:
    program = started_program(out, tmp_path, "fake:naive", "fake2:hangs_later")
    until(lambda: "[2/2]" in log_of(tmp_path) and "hangs_later" in log_of(tmp_path).split("[2/2]")[-1], "it hangs")
    time.sleep(0.5)
    assert len(marked(mark)) == 4  # the program, two workers, and what the hanging one started
    program.send_signal(signal_number)
    assert program.wait(10) == 130
    until(lambda: not marked(mark), "all workers ended", 2)
    assert outcomes(out) == {("fake:naive:eager", 8): "ok", ("fake2:hangs_later:eager", 8): "ok"}
    assert "fake2:hangs_later:eager" in (out / store.REPORT).read_text()
    assert "interrupted" in log_of(tmp_path)
    assert "Traceback" not in log_of(tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupt_while_a_worker_starts_leaves_no_worker(out: Path, tmp_path: Path, mark: str) -> None:
    program = started_program(out, tmp_path, "fake:naive", FAKE_SLOW_START="1000")
    until(lambda: len(marked(mark)) == 2, "the worker is starting")
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    assert program.wait(10) == 130
    until(lambda: not marked(mark), "the starting worker ended", 2)


def test_a_failure_is_written_before_the_next_contender_can_be_interrupted(out: Path, tmp_path: Path) -> None:
    """DESIGN.md: each finished case is appended to results.jsonl at once."""
    program = started_program(out, tmp_path, "fake:raises", "fake2:hangs")
    until(lambda: "fake2:hangs" in log_of(tmp_path), "it hangs")
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    assert program.wait(10) == 130
    assert outcomes(out) == {("fake:raises:eager", 8): "ERROR"}
