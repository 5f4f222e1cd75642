"""Memory that is not there, and backends that cannot start."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from compare import backends
from compare.cli.main import main
from compare.machine import memory
from compare.measure import runner, workers
from compare.plan import devices
from compare.results import store
from compare.schema.records import Measurement
from tests.run_fake import arguments, outcomes, row, rows_of, started_workers, survivors


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
    text = (out / store.REPORT).read_text()
    assert "alone" in text
    assert "no ratio" in text


def test_an_out_of_memory_on_a_cpu_is_final(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_workers(tmp_path, monkeypatch)
    assert main(arguments(out, "fake:naive", "fake2:oom_beside")) == 0
    assert outcomes(out)["fake2:oom_beside:eager", 16] == "OOM"


def test_what_cannot_fit_is_skipped_before_it_starts(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    available = 100_000
    monkeypatch.setattr(memory, "available_bytes", lambda: available)
    monkeypatch.setattr(runner, "available_bytes", lambda: available)
    monkeypatch.setattr(workers, "of_process", lambda _: 0)
    assert main(arguments(out, "fake:naive", "fake2:naive", seq_lens=(8, 512))) == 0
    for name in ("fake:naive:eager", "fake2:naive:eager"):
        assert isinstance(row(out, name, 8), Measurement)
        skip = row(out, name, 512)
        assert skip.available_bytes == available // 2  # both frameworks hold theirs at once
        assert skip.predicted_bytes > 7 * 2 * 512 * 512 * 4
        assert "memory" in skip.reason
    assert "Smallest that did not fit" in (out / store.REPORT).read_text()


def test_a_backend_that_cannot_start_fails_alone_and_is_tried_once(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_attn"
    (package / "variants").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "variants" / "naive.py").write_text('VARIANT = Variant(summary="never run", masks=("full", "causal"))')
    tries = tmp_path / "tries"
    (package / "adapter.py").write_text(
        f"open({str(tries)!r}, 'a').write('x')\nraise ImportError('libbroken.so is missing')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    entry = backends.Backend("Broken", "broken_attn", ("numpy",), ("eager",), ("eager",), "comes with this test")
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
