"""Every fault becomes the right row, and every other row of the same problem and of later ones survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compare import backends, devices, fleet, resident, results, runner
from compare.cli import main
from compare.records import Measurement
from tests.fake_attn import adapter
from tests.run_fake import MARK, arguments, marked, outcomes, register, row, rows_of

ROOT = Path(__file__).resolve().parents[1]
GOOD = ("fake:naive:eager", "fake:slow:eager", "fake2:naive:eager")


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Fakes for frameworks; whatever a test starts carries its mark, and nothing may be left of it."""
    register(monkeypatch)
    text = uuid.uuid4().hex
    monkeypatch.setenv(MARK, text)
    yield text
    left = marked(text)
    for pid in left:  # only what this test started
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes were left behind"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def survivors(out: Path, *gone: str) -> None:
    """All other contenders have good rows at both problems."""
    found = outcomes(out)
    assert {key: found[key] for key in found if key[0] not in gone} == {
        (name, seq_len): "ok" for name in GOOD for seq_len in (8, 16)
    }


FAULTS = [
    ("crashes", "CRASH", "prepare", "SIGKILL"),
    ("exits", "CRASH", "prepare", "exited with code 7; its log ends: the library gives up"),
    ("hangs", "TIMEOUT", "prepare", "no answer within 2 s"),
    ("raises", "ERROR", "prepare", "RuntimeError: the fake broke on purpose"),
    ("oom", "OOM", "prepare", "OutOfMemory"),
    ("late_crash", "CRASH", "turn", "SIGKILL"),
    ("always_dropped", "ERROR", "turn", "the profiler saw no device work"),
    ("double", "ERROR", "turn", "device time in a window"),
]


@pytest.mark.parametrize(("variant", "status", "stage", "reason"), FAULTS)
def test_a_fault_is_one_row(variant: str, status: str, stage: str, reason: str, out: Path) -> None:
    faulty = f"fake:{variant}:eager"
    names = ("fake:naive", faulty, "fake:slow", "fake2:naive")
    code = main([*arguments(out, *names, seq_lens=(8, 16)), "--timeout", "2"])
    assert code == (0 if status == "OOM" else 3)
    for seq_len in (8, 16):
        failure = row(out, faulty, seq_len)
        assert (failure.status, failure.stage) == (status, stage)
        assert reason in failure.reason
    survivors(out, faulty)
    assert faulty in (out / results.REPORT).read_text()
    assert row(out, "fake:slow:eager", 8).passes["step"].device_s == pytest.approx((0.00375,) * 6)


def test_an_out_of_memory_says_what_was_refused(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake2:oom"))
    assert row(out, "fake2:oom:eager").refused_bytes == 12_345_678
    assert row(out, "fake2:oom:eager").predicted_bytes > 0


def test_a_skip_keeps_its_worker(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = started_workers(tmp_path, monkeypatch)
    names = ("fake:naive", "fake:unsupported", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) == 0
    assert "needs a head size of 7" in row(out, "fake:unsupported:eager", 8).reason
    survivors(out, "fake:unsupported:eager")
    assert len(list(workers.iterdir())) == 2


def test_a_disagreement_is_not_contagious(out: Path) -> None:
    names = ("fake:wrong", "fake:naive", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) == 1
    survivors(out, "fake:wrong:eager")
    assert outcomes(out)["fake:wrong:eager", 8] == "wrong"
    assert "no ratio" in (out / results.REPORT).read_text()


def test_a_nan_is_a_disagreement(out: Path) -> None:
    names = ("fake:naive", "fake:nan", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) == 1
    survivors(out, "fake:nan:eager")
    assert outcomes(out)["fake:nan:eager", 8] == "wrong"


def test_a_wrong_shape_is_a_bad_row_and_the_others_are_still_judged(out: Path) -> None:
    names = ("fake:naive", "fake:wrong_shape", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) in (1, 3)
    survivors(out, "fake:wrong_shape:eager")
    assert outcomes(out)["fake:wrong_shape:eager", 8] in ("wrong", "ERROR")


def codes(found: Measurement) -> list[str]:
    """The row's warnings, without those of whatever else this machine does."""
    return [each.code for each in found.warnings if each.code not in ("other-load", "stolen-time")]


def test_refused_windows_are_taken_again_and_noted(out: Path) -> None:
    assert main(arguments(out, "fake:naive", "fake2:dropped")) == 0
    found = row(out, "fake2:dropped:eager")
    [note] = [each for each in found.warnings if each.code == "refused-windows"]
    assert note.text.startswith("profiled windows refused and taken again: 2, the last because")
    assert "saw no device work" in note.text
    assert len(found.passes["step"].device_s) == 6
    assert len(set(found.passes["step"].device_s)) == 1
    assert codes(row(out, "fake:naive:eager")) == []


def test_a_kernel_lost_in_one_turn_never_becomes_a_sample(out: Path) -> None:
    """With one iteration a turn, a turn can only be checked against the turns before it."""
    main(arguments(out, "fake:naive", "fake2:lost_kernel"))
    found = row(out, "fake2:lost_kernel:eager")
    assert isinstance(found, Measurement)
    assert found.passes["forward"].device_s == pytest.approx((0.001,) * 6)


def test_contenders_of_a_crashed_worker_say_that_it_was_replaced(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake:late_crash", "fake2:naive"))
    assert codes(row(out, "fake:naive:eager")) == ["restarted"]
    assert codes(row(out, "fake2:naive:eager")) == []


def test_a_second_crash_while_reviving_takes_nobody_else_down(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MARKS", str(tmp_path))
    names = ("fake:naive", "fake:slow", "fake:second_prepare", "fake:late_crash", "fake2:naive")
    assert main(arguments(out, *names)) == 3
    found = outcomes(out)
    assert found["fake:late_crash:eager", 16] == "CRASH"
    assert found["fake:second_prepare:eager", 16] == "CRASH"
    assert [found[name, 16] for name in GOOD] == ["ok"] * 3


# ------------------------------------------------------------------------------------------------------ processes


def test_a_timeout_ends_the_whole_process_group(out: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    failure = runner.Runner._failure

    def spy(self: runner.Runner, *arguments: object) -> object:
        end = time.monotonic() + 1  # a killed process takes a moment to leave /proc
        while marked(mark) and time.monotonic() < end:
            time.sleep(0.01)
        seen.append(marked(mark))
        return failure(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runner.Runner, "_failure", spy)
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
    assert "fake2:hangs_later:eager" in (out / results.REPORT).read_text()
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


# --------------------------------------------------------------------------------------------------------- memory


def started_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds one file for each worker that was ever started."""
    folder = tmp_path / "workers"
    folder.mkdir()
    monkeypatch.setenv(adapter.WORKERS, str(folder))
    return folder


def on_gpu(*words: str) -> list[str]:
    """The command line without ``--device cpu``."""
    at = words.index("--device")
    return [*words[:at], *words[at + 2 :]]


def test_an_out_of_memory_on_a_gpu_is_tried_again_alone(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_workers(tmp_path, monkeypatch)
    monkeypatch.setattr(devices, "choose", lambda *_: ("gpu", ""))
    names = ("fake:naive", "fake2:oom_beside", "fake2:naive")
    assert main(on_gpu(*arguments(out, *names, seq_lens=(8, 16)))) == 0
    assert set(outcomes(out).values()) == {"ok"}
    for seq_len in (8, 16):
        assert row(out, "fake2:oom_beside:eager", seq_len).alone
        assert not row(out, "fake:naive:eager", seq_len).alone
        assert not row(out, "fake2:naive:eager", seq_len).alone
    text = (out / results.REPORT).read_text()
    assert "alone" in text
    assert "no ratio" in text


def test_an_out_of_memory_on_a_cpu_is_final(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_workers(tmp_path, monkeypatch)
    assert main(arguments(out, "fake:naive", "fake2:oom_beside")) == 0
    assert outcomes(out)["fake2:oom_beside:eager", 16] == "OOM"


def test_what_cannot_fit_is_skipped_before_it_starts(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    available = 100_000
    monkeypatch.setattr(resident, "available_bytes", lambda: available)
    monkeypatch.setattr(runner, "available_bytes", lambda: available)
    monkeypatch.setattr(fleet, "of_process", lambda _: 0)
    assert main(arguments(out, "fake:naive", "fake2:naive", seq_lens=(8, 512))) == 0
    for name in ("fake:naive:eager", "fake2:naive:eager"):
        assert isinstance(row(out, name, 8), Measurement)
        skip = row(out, name, 512)
        assert skip.available_bytes == available // 2  # both frameworks hold theirs at once
        assert skip.predicted_bytes > 7 * 2 * 512 * 512 * 4
        assert "memory" in skip.reason
    assert "Smallest that did not fit" in (out / results.REPORT).read_text()


# ------------------------------------------------------------------------------------------------------- starting


def test_a_backend_that_cannot_start_fails_alone_and_is_tried_once(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_attn"
    (package / "variants").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "variants" / "naive.py").touch()
    tries = tmp_path / "tries"
    (package / "adapter.py").write_text(
        f"open({str(tries)!r}, 'a').write('x')\nraise ImportError('libbroken.so is missing')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    entry = backends.Backend("broken_attn", ("numpy",), ("eager",), ("eager",), "comes with this test")
    monkeypatch.setitem(backends.BACKENDS, "broken", entry)
    names = ("broken:naive", "fake:naive", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) == 3
    survivors(out, "broken:naive:eager")
    for seq_len in (8, 16):
        failure = row(out, "broken:naive:eager", seq_len)
        assert (failure.status, failure.stage) == ("ERROR", "start")
        assert "libbroken.so is missing" in failure.reason
    assert tries.read_text() == "x"


def test_nothing_is_left_in_the_temporary_folder(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    main(arguments(out, "fake:crashes", "fake2:naive"))
    assert list(temporary.iterdir()) == []
    assert len(rows_of(out)) == 2


# ---------------------------------------------------------------------------------------------- right, then wrong


def test_numbers_that_go_wrong_after_the_first_calls_disagree(out: Path) -> None:
    """What was timed is judged, not only what the first call gave."""
    assert main(arguments(out, "fake:naive", "fake:drifts", "fake2:naive")) == 1
    assert outcomes(out) == {
        ("fake:naive:eager", 16): "ok",
        ("fake:drifts:eager", 16): "wrong",
        ("fake2:naive:eager", 16): "ok",
    }


def test_another_dtype_than_the_problems_is_a_failure(out: Path) -> None:
    assert main(arguments(out, "fake:widens", "fake:naive")) == 3
    assert "expected float32, got float64" in row(out, "fake:widens:eager").reason
    assert outcomes(out)["fake:naive:eager", 16] == "ok"
