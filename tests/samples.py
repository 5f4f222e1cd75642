"""Synthetic records: a run of nine problems with three contenders, and the parts to build other ones."""

from __future__ import annotations

import random
from typing import Any

from compare.backends import BACKENDS
from compare.maths import prediction
from compare.schema.contract import Variant
from compare.schema.records import (
    PASSES,
    SCHEMA_VERSION,
    Agreement,
    Contender,
    Cost,
    DeviceReport,
    Failure,
    Kernel,
    Measurement,
    Notice,
    PassName,
    PassResult,
    Problem,
    Row,
    Run,
    Settings,
    Skip,
    TensorError,
)
from compare.variants import description

JAX = Contender(backend="jax", variant="naive", mode="jit")
EAGER = Contender(backend="torch", variant="naive", mode="eager")
COMPILE = Contender(backend="torch", variant="naive", mode="compile")
ROUNDS, PER_ROUND = 10, 3
SHARES: dict[PassName, float] = {"forward": 1.0, "backward": 1.1, "step": 2.0}


def problem(seq_len: int = 1024, head_dim: int = 64, batch: int = 4, **other: Any) -> Problem:
    """A single-head problem, the seed table's; ``other`` overrides any field."""
    fields: dict[str, Any] = {"heads": 1, "kv_heads": 1, "mask": "full", "seed": 0}
    fields |= {"dtype": "float32", "matmul_precision": "ieee"}
    fields |= {"batch": batch, "q_len": seq_len, "kv_len": seq_len, "head_dim": head_dim}
    return Problem(**(fields | other))


def pass_result(time_s: float, peak_bytes: int, jitter: float = 0.0) -> PassResult:
    """Samples around one time; jitter 0 makes them all equal."""
    noise = random.Random(f"{time_s}")
    device = tuple(time_s * (1 + jitter * noise.random()) for _ in range(ROUNDS * PER_ROUND))
    return PassResult(
        device_s=device,
        wall_s=tuple(sample * 1.1 + 2e-5 for sample in device),
        per_round=PER_ROUND,
        peak_bytes=peak_bytes,
        peak_source="allocator",
        kernels=tuple(Kernel(name=name, count=n, device_s=time_s / 2) for name, n in (("gemm", 2), ("softmax", 1))),
    )


def agreement(agrees: bool = True) -> Agreement:
    """A verdict on four tensors."""
    worst = 3.1e-7 if agrees else 4.2e-3
    tensors = tuple(
        TensorError(
            tensor=name,
            max_error=worst,
            rms_error=worst / 8,
            allowed_max=2.0e-6,
            allowed_rms=2.5e-7,
            agrees=agrees,
        )
        for name in ("out", "dq", "dk", "dv")
    )
    return Agreement(
        agrees=agrees,
        tensors=tensors,
        checked_slices=4,
        slices=4,
        other="torch:naive:eager",
        other_error=worst,
        other_allowed=4e-6,
    )


def measurement(
    where: Problem,
    contender: Contender = JAX,
    time_s: float = 1e-3,
    passes: tuple[PassName, ...] = PASSES,
    jitter: float = 0.0,
    **other: Any,
) -> Measurement:
    """A row whose forward takes ``time_s`` and whose memory is exactly the seed's formula; ``other`` overrides."""
    score = prediction.score_bytes(where)
    peaks: dict[PassName, int] = {
        "forward": score + prediction.output_bytes(where),
        "backward": score,
        "step": 2 * score,
    }
    fields: dict[str, Any] = {
        "passes": {name: pass_result(time_s * SHARES[name], peaks[name], jitter) for name in passes},
        "saved_bytes": score,
        "input_bytes": prediction.input_bytes(where),
        "output_bytes": prediction.output_bytes(where),
        "costs": {name: Cost(trace_s=0.01, compile_s=0.2, first_call_s=0.03, warmup_s=0.1) for name in passes},
        "stopped": "steady",
        "agreement": agreement(),
    }
    return Measurement(problem=where, contender=contender, **(fields | other))


def out_of_memory(where: Problem, contender: Contender = EAGER) -> Failure:
    """A row that ran out of memory."""
    return Failure(
        problem=where,
        contender=contender,
        status="OOM",
        stage="backward",
        reason="CUDA out of memory. Tried to allocate 16.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 3.10 "
        "GiB is free. See documentation for Memory Management (https://pytorch.org/docs/stable/notes/cuda.html)",
        predicted_bytes=48 * 10**9,
        refused_bytes=16 * 2**30,
        device_bytes=16 * 10**9,
    )


def skip(where: Problem, contender: Contender = COMPILE, **other: Any) -> Skip:
    """A row that was not started."""
    fields: dict[str, Any] = {"reason": "cuDNN needs bfloat16 or float16, got float32"}
    return Skip(problem=where, contender=contender, **(fields | other))


def nine_problems(jitter: float = 0.02) -> list[Row]:
    """The seed's nine problems with three contenders: one OOM, one skip, one disagreement, two warnings, one alone."""
    rows: list[Row] = []
    for head_dim in (16, 32, 64):
        for seq_len in (256, 1024, 4096):
            rows += three_rows(problem(seq_len, head_dim), jitter)
    rows[22] = measurement(rows[22].problem, EAGER, 5e-3, jitter=jitter, agreement=agreement(False))
    rows[25] = out_of_memory(rows[25].problem)
    rows[26] = skip(rows[26].problem, predicted_bytes=48 * 10**9, available_bytes=16 * 10**9, reason="needs 48.0 GB")
    rows[17] = measurement(rows[17].problem, COMPILE, 0.1, jitter=jitter, alone=True, stopped="budget")
    return rows


def three_rows(where: Problem, jitter: float) -> list[Row]:
    """Three contenders of one problem."""
    time_s = 0.37e-3 * (where.q_len / 256) ** 2
    noted = Notice(code="fused", text="the compiler replaced naive attention by a fused kernel: not naive")
    return [
        measurement(where, JAX, time_s, jitter=jitter),
        measurement(where, EAGER, time_s * 1.7, jitter=jitter),
        measurement(where, COMPILE, time_s * 0.8, jitter=jitter, warnings=(noted,) if where.q_len == 256 else ()),
    ]


def run() -> Run:
    """The circumstances."""
    return Run(
        schema_version=SCHEMA_VERSION,
        program_version="0.1.0",
        date="2025-06-01T12:00:00+00:00",
        command="python -m compare --backend both",
        settings=Settings(
            device="cpu",
            passes=PASSES,
            threads=2,
            malloc="recycle",
            budget_s=20.0,
            samples=None,
            timeout_s=600.0,
            seed=0,
        ),
        host={"cpu": "AMD EPYC 7B13", "cores": "2", "system": "Linux 6.1"},
        environment={"jax": {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true"}, "torch": {"OMP_NUM_THREADS": "2"}},
        backends=(device("jax", {"jax": "0.5.0", "jaxlib": "0.5.0"}), device("torch", {"torch": "2.6.0"})),
    )


def device(backend: str, versions: dict[str, str]) -> DeviceReport:
    """What a backend says of itself."""
    return DeviceReport(
        backend=backend,
        device="cpu",
        device_name="AMD EPYC 7B13",
        total_bytes=16 * 10**9,
        versions=versions,
        flags={"threads": "2"},
        import_s=0.8,
        start_s=0.2,
    )


def described(variant: str) -> Variant | None:
    """What a variant of either framework says of itself."""
    return next((found for name in BACKENDS if (found := description(name, variant))), None)
