"""Real workers of both frameworks through the command line, at sizes where memory can be added up by hand."""

from __future__ import annotations

import os
import re
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare.backends import BACKENDS, backend
from compare.cli import publishing, study
from compare.cli.main import main
from compare.maths import inputs
from compare.measure import rates, runner
from compare.profile import timeline
from compare.results import store
from compare.schema.records import DTYPES, PASSES, Measurement, Problem
from tests.run_fake import no_extras, no_rates, outcomes, row

JAX, TORCH = "jax:naive:jit", "torch:naive:eager"
BATCH, LENGTH, WIDTH = 2, 64, 16
TENSOR = BATCH * LENGTH * WIDTH * 4  # q, k, v, out: [B, T, 1, H] in float32
MATRIX = BATCH * LENGTH * LENGTH * 4  # scores, probabilities: [B, 1, T, T]
FEW_KB = 4096


def arguments(out: Path) -> list[str]:
    words = f"--contender {JAX} --contender {TORCH} --seq-len {LENGTH} --d-model {WIDTH} --batch-size {BATCH}"
    return [*words.split(), "--samples", "6", "--device", "cpu", "--timeout", "120", "--out", str(out)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """One run for all tests that only look at its results: exit code and folder."""
    out = tmp_path_factory.mktemp("real") / "out"
    return main(arguments(out)), out


def test_everything_is_measured_and_agrees(measured: tuple[int, Path]) -> None:
    code, out = measured
    assert outcomes(out) == {(JAX, LENGTH): "ok", (TORCH, LENGTH): "ok"}
    assert code == 0
    for name in (JAX, TORCH):
        found = row(out, name)
        assert isinstance(found, Measurement)
        assert tuple(found.passes) == PASSES
        assert found.agreement is not None
        assert found.agreement.checked_slices == BATCH
        for result in found.passes.values():
            assert len(result.device_s) == len(result.wall_s) == 6
            assert min(result.device_s) > 0
            assert sum(kernel.count for kernel in result.kernels) >= 3
    assert (out / store.REPORT).exists()


def test_the_products_are_among_the_kernels(measured: tuple[int, Path]) -> None:
    """XLA on a CPU runs a product as a dot of its own or inside a fusion for YNNPACK."""
    for contender, product in ((JAX, r"dot|ynn_fusion"), (TORCH, r"aten::bmm")):
        for name, result in row(measured[1], contender).passes.items():
            assert any(re.match(product, kernel.name) for kernel in result.kernels), (contender, name, result.kernels)


def test_the_source_of_each_peak_is_named(measured: tuple[int, Path]) -> None:
    for contender, source in ((JAX, "XLA buffer assignment"), (TORCH, "Kineto allocation events")):
        assert {result.peak_source for result in row(measured[1], contender).passes.values()} == {source}


def test_the_forward_peak_of_torch_adds_up(measured: tuple[int, Path]) -> None:
    """At the last product there stand: the scaled q, the mask as booleans and as a bias, scores, weights and output."""
    booleans, bias = LENGTH * LENGTH, LENGTH * LENGTH * 4
    peak = row(measured[1], TORCH).passes["forward"].peak_bytes
    assert peak == pytest.approx(TENSOR + booleans + bias + 2 * MATRIX + TENSOR, abs=FEW_KB)


def test_torch_saves_the_probabilities_and_the_scaled_queries(measured: tuple[int, Path]) -> None:
    """The products need q * scale, k, v and the probabilities, the softmax its own result; k and v are inputs.

    q * scale itself keeps the scale as a float64 tensor without axes.
    """
    assert row(measured[1], TORCH).saved_bytes == MATRIX + TENSOR + 8


def test_jax_holds_no_less_than_what_must_stand(measured: tuple[int, Path]) -> None:
    found = row(measured[1], JAX)
    assert found.passes["forward"].peak_bytes >= MATRIX + TENSOR
    assert found.passes["backward"].peak_bytes >= MATRIX + 3 * TENSOR
    assert found.saved_bytes >= MATRIX


def problem(dtype: Any = "float32") -> Problem:
    sizes = {"batch": BATCH, "q_len": LENGTH, "kv_len": LENGTH, "heads": 1, "kv_heads": 1, "head_dim": WIDTH}
    return Problem(**sizes, mask="causal", dtype=dtype, matmul_precision="ieee", seed=0)


def adapter_of(name: str) -> Any:
    return import_module(f"{backend(name).package}.adapter").Adapter("cpu", 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_frameworks_get_the_same_bits(dtype: Any) -> None:
    drawn = inputs.draw(problem(dtype))
    for name in BACKENDS:
        adapter = adapter_of(name)
        for array in drawn:
            back = np.asarray(adapter.numpy(adapter.put(array, dtype)))
            assert back.dtype == np.float32
            assert np.array_equal(back.view(np.uint32), array.view(np.uint32)), name


@pytest.mark.parametrize("name", list(BACKENDS))
def test_device_time_fits_into_its_window(name: str) -> None:
    adapter, profiler = adapter_of(name), import_module(f"{backend(name).package}.profiler")
    attention = import_module(f"{backend(name).package}.variants.naive").attention
    tensors = tuple(adapter.put(array, "float32") for array in inputs.draw(problem()))
    programs = adapter.programs(attention, backend(name).modes[0], tensors, "ieee")
    adapter.block(programs.step())
    with profiler.trace() as found:
        for _ in range(3):
            with profiler.window("step"):
                adapter.block(programs.step())
    seen = timeline.iterations(found[0])
    timeline.check(seen, 3)
    assert [each.label for each in seen] == ["step"] * 3
    assert all(0 < each.device_s <= each.window_s for each in seen)


@pytest.mark.parametrize(
    ("name", "file"), [("jax", "plugins/profile/a.b/host.xplane.pb"), ("torch", "a.b.kineto.json")]
)
def test_a_frameworks_own_profile_lies_where_its_viewer_looks_and_changes_no_trace(
    name: str, file: str, tmp_path: Path
) -> None:
    adapter, profiler = adapter_of(name), import_module(f"{backend(name).package}.profiler")
    array = adapter.put(np.ones((64, 64), np.float32), "float32")
    adapter.block(adapter.matmul(array, array, "ieee"))
    seen = []
    for own in (None, tmp_path / "a.b"):
        with profiler.trace(memory=True, own=own) as found, profiler.window("product"):
            adapter.block(adapter.matmul(array, array, "ieee"))
        seen += timeline.iterations(found[0])
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert b"compare:product" in (tmp_path / file).read_bytes()
    assert seen[0].kernels == seen[1].kernels
    assert all(span.track for span in seen[1].work)


def test_a_worker_killed_in_mid_run_is_a_crash_and_the_other_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runners: list[runner.OneProcess] = []
    init, stage = runner.OneProcess.__init__, study.Study.stage

    def remember(self: runner.OneProcess, *words: Any) -> None:
        init(self, *words)
        runners.append(self)

    def kill(self: study.Study, problem: Problem, text: str) -> None:
        stage(self, problem, text)
        if text.startswith("rounds 1 to ") and (worker := runners[0]._fleet._live.get("torch")):
            os.kill(worker.pid, signal.SIGKILL)

    monkeypatch.setattr(rates, "rated", no_rates)
    monkeypatch.setattr(publishing, "installed", no_extras)
    monkeypatch.setattr(runner.OneProcess, "__init__", remember)
    monkeypatch.setattr(study.Study, "stage", kill)
    out = tmp_path / "out"
    assert main(arguments(out)) == 3
    assert outcomes(out) == {(JAX, LENGTH): "ok", (TORCH, LENGTH): "CRASH"}
    assert "SIGKILL" in row(out, TORCH).reason
    assert len(row(out, JAX).passes["step"].device_s) == 6
