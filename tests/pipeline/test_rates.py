"""The device's rates on the fakes, whose clock moves a nanosecond a byte and a nanosecond for two FLOPs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compare.backends import BACKENDS
from compare.cli.main import main
from compare.machine import memory
from compare.measure import rates as rating
from compare.results import store
from compare.worker.protocol import Failed
from compare.worker.session import Session
from tests.run_fake import FAKES, arguments, outcomes, run_of

REAL = rating.rated
GB = 1e9


@pytest.fixture(autouse=True)
def small(fakes: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rating, "rated", REAL)
    monkeypatch.setattr(rating, "stream_bytes", lambda _: 2**16)
    for sizes in (rating.MATMUL_SIZE, rating.IEEE_SIZE):
        monkeypatch.setitem(sizes, "cpu", 64)
    assert BACKENDS.keys() == FAKES.keys()
    return iter(())


def test_each_backend_dtype_and_precision_once_before_anything_else(out: Path) -> None:
    words = ["--dtype", "float32", "float16", "--matmul-precision", "ieee", "default"]
    assert main([*arguments(out, "fake:naive", "fake:slow", "fake2:naive", seq_lens=(8, 16)), *words]) == 0
    found = [(each.backend, each.dtype, each.matmul_precision) for each in run_of(out).rates]
    kinds = [("float32", "ieee"), ("float16", "default"), ("float32", "default")]
    assert found == [(name, *kind) for name in FAKES for kind in kinds]
    lines = [json.loads(line) for line in (out / store.RESULTS).read_text().splitlines()]
    assert [len(line.get("rates", ())) for line in lines[:3]] == [0, 3, 6]
    assert [len(line["backends"]) for line in lines[:3]] == [0, 0, 0]


def test_planned_rates_and_bounds_come_out(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(out, "fake:naive", "fake2:slow"))
    for each in run_of(out).rates:
        assert each.copy_bytes_per_s == pytest.approx(2 * GB, rel=1e-3)  # a nanosecond for a byte read and one written
        assert each.matmul_flops_per_s == pytest.approx(2 * GB, rel=1e-3)
        assert each.reason == ""
    assert "fake, float32 ieee: copies 2.00 GB/s, multiplies 0.00200 TFLOP/s" in capsys.readouterr().out
    text = (out / store.REPORT).read_text().split("## Roofline")[1]
    # 2 products of 2 * 2 * 16 * 16 * 8 FLOPs in 1 ms: 16.4 us at 2 GFLOP/s
    assert "| `fake:naive:eager` | forward | 0.0123 | 0.0000164 |" in text.replace("compute", "")
    assert "| 0.00819 | 0.8% |" in text.replace("0.0164 | 1.6%", "0.00819 | 0.8%")


def test_a_dtype_that_fails_is_a_reason_and_the_others_go_on(out: Path) -> None:
    assert main([*arguments(out, "fake:naive"), "--dtype", "bfloat16", "float16"]) == 0
    bfloat, half = run_of(out).rates
    assert bfloat.copy_bytes_per_s is None
    assert bfloat.reason == "NotImplementedError: needs float32 or float16, got bfloat16"
    assert half.copy_bytes_per_s
    assert bfloat.reason in (out / store.REPORT).read_text()


def test_a_worker_that_ends_is_a_reason_and_the_run_goes_on(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Failed(status="CRASH", stage="rate", reason="the worker was killed by SIGKILL")
    monkeypatch.setattr(rating.Fleet, "ask_fresh", lambda *_: gone)
    assert main(arguments(out, "fake:naive", "fake2:naive")) == 0
    assert [each.reason for each in run_of(out).rates] == [gone.reason] * 2
    assert set(outcomes(out).values()) == {"ok"}


def test_an_array_is_never_smaller_than_four_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for cache, expected in ((None, 2**27), (2**26, 2**28), (2**40, 2**30)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "cpu_bytes", lambda cache=cache: cache)
            assert rating.stream_bytes("cpu") == expected
    assert rating.stream_bytes("gpu") == 2**30


def test_a_busy_moment_does_not_lower_the_rate_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from compare.schema.records import Product, Rate
    from compare.worker import known_work
    from tests.fake_attn.device import DEVICE

    session, calls = Session("tests.fake_attn", "cpu", 1), []
    launch = DEVICE.launch

    def disturbed(name: str, duration_ns: int) -> None:
        calls.append(name)
        launch(name, duration_ns * (1 if len(calls) % 5 == 0 else 10))

    monkeypatch.setattr(DEVICE, "launch", disturbed)
    product = Product(dtype="float32", matmul_precision="ieee", size=64)
    [rate] = known_work.measured(session, Rate(backend="fake", stream_bytes=2**16, products=(product,)))
    assert rate.copy_bytes_per_s == pytest.approx(2 * GB, rel=1e-3)
    assert rate.scatter == pytest.approx(9.0, rel=1e-3)
    assert rate.scattered in ("copies", "products")
