"""A fault is one row with its reason, and every other row survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.analysis.notices import worded
from compare.cli.main import main
from compare.results import store
from compare.schema.records import Measurement
from compare.worker.protocol import Failed
from tests.run_fake import GOOD, VerifierHere, arguments, outcomes, row, started_workers, survivors

FAULTS = [
    ("crashes", "CRASH", "prepare", "SIGKILL"),
    ("exits", "CRASH", "prepare", "exited with code 7; its log ends: the library gives up"),
    ("hangs", "TIMEOUT", "prepare", "no answer within 2 s"),
    ("raises", "ERROR", "prepare", "RuntimeError: the fake broke on purpose"),
    ("oom", "OOM", "prepare", "OutOfMemory"),
    ("late_crash", "CRASH", "turn", "SIGKILL"),
    ("always_dropped", "ERROR", "sampling", "the profiler saw no device work"),
    ("double", "ERROR", "sampling", "device time in a window"),
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
    assert faulty in (out / store.REPORT).read_text()
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
    assert "no ratio" in (out / store.REPORT).read_text()


def test_a_nan_is_a_disagreement(out: Path) -> None:
    names = ("fake:naive", "fake:nan", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) == 1
    survivors(out, "fake:nan:eager")
    assert outcomes(out)["fake:nan:eager", 8] == "wrong"


def test_a_wrong_shape_is_a_bad_row_and_the_others_are_still_verified(out: Path) -> None:
    names = ("fake:naive", "fake:wrong_shape", "fake:slow", "fake2:naive")
    assert main(arguments(out, *names, seq_lens=(8, 16))) in (1, 3)
    survivors(out, "fake:wrong_shape:eager")
    assert outcomes(out)["fake:wrong_shape:eager", 8] in ("wrong", "ERROR")


def codes(found: Measurement) -> list[str]:
    """The row's warnings, without those of what else this machine does, and of the fake's clock, which is its own."""
    others = ("other-load", "busy-machine", "stolen-time", "device-over-wall")
    return [each.code for each in found.warnings if each.code not in others]


def test_refused_rounds_are_taken_again_and_noted(out: Path) -> None:
    assert main(arguments(out, "fake:naive", "fake2:dropped")) == 0
    found = row(out, "fake2:dropped:eager")
    [note] = [each for each in found.warnings if each.code == "refused-windows"]
    assert worded(note).startswith("discarded and repeated profiler rounds: 12; the last because")
    assert "saw no device work" in worded(note)
    assert len(found.passes["step"].device_s) == 6
    assert len(set(found.passes["step"].device_s)) == 1
    assert codes(row(out, "fake:naive:eager")) == []


def test_a_kernel_lost_in_a_whole_trace_never_becomes_a_sample(out: Path) -> None:
    """A trace whose iterations all miss the same kernel can only be checked against another trace."""
    main(arguments(out, "fake:naive", "fake2:lost_kernel"))
    found = row(out, "fake2:lost_kernel:eager")
    assert isinstance(found, Measurement)
    assert found.passes["forward"].device_s == pytest.approx((0.001,) * 6)


def test_a_round_in_which_a_kernel_was_lost_is_taken_again_by_all(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake:lost_in_a_round"))
    found, other = row(out, "fake:lost_in_a_round:eager"), row(out, "fake:naive:eager")
    assert found.passes["forward"].device_s == pytest.approx((0.001,) * 6)
    [note] = [each for each in found.warnings if each.code == "refused-windows"]
    said = "discarded and repeated profiler rounds: 1; the last because step: other kernels than in most iterations"
    assert f"{said}: missing {{'softmax': 1}}" in worded(note)
    assert len(other.passes["forward"].device_s) == 6
    assert codes(other) == []


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


def test_numbers_that_go_wrong_after_the_first_calls_disagree(out: Path) -> None:
    """What was timed is verified, not only what the first call gave."""
    assert main(arguments(out, "fake:naive", "fake:drifts", "fake2:naive")) == 1
    assert outcomes(out) == {
        ("fake:naive:eager", 16): "ok",
        ("fake:drifts:eager", 16): "wrong",
        ("fake2:naive:eager", 16): "ok",
    }


def test_a_check_that_fails_leaves_rows_without_verdict_and_says_so(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = Failed(status="CRASH", stage="verify", reason="killed by SIGKILL")
    monkeypatch.setattr(VerifierHere, "ask", lambda *_: died)
    main(arguments(out, *GOOD))
    for name in GOOD:
        found = row(out, name)
        assert found.agreement is None
        assert "verification failed: killed by SIGKILL" in [worded(each) for each in found.warnings]
    assert "no ratio" in (out / store.REPORT).read_text()


def test_another_dtype_than_the_problems_is_a_failure(out: Path) -> None:
    assert main(arguments(out, "fake:widens", "fake:naive")) == 3
    assert "expected float32, got float64" in row(out, "fake:widens:eager").reason
    assert outcomes(out)["fake:naive:eager", 16] == "ok"
