"""Inside the worker: does this framework tell the truth about known work on this device?

Neutral to the framework.  Every check answers in one Finding; what cannot apply here is no failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare.profile import timeline
from compare.records import Device, Dtype, Precision
from compare.worker.known_work import numbers, run, times
from compare.worker.messages import Finding, Result

if TYPE_CHECKING:
    from compare.worker.measuring import Session

STREAM_BYTES: dict[Device, int] = {"cpu": 2**27, "gpu": 2**30}  # far more than a cache holds
MATMUL_SIZE: dict[Device, int] = {"cpu": 1024, "gpu": 4096}
MATMUL_DTYPE: dict[Device, Dtype] = {"cpu": "float32", "gpu": "bfloat16"}  # XLA takes long to choose an IEEE kernel
TWOFOLD = (1.8, 2.2)  # a GPU's time for twice the bytes; its launches fill too much of so short a window
COVERED = 0.8  # of a window of known bytes is device time; how long it takes is erratic where pages are handed out anew
EIGHTFOLD = (4.5, 14.0)  # a product of matrices twice as large takes eight times as long; caches and few cores blur it
MEMORY = (0.98, 1.1)
IEEE_ERROR = 1e-5  # relative; float32 gives some 1e-7, TF32 some 1e-4 and bfloat16 1e-3


def findings(session: Session) -> Iterator[Finding]:
    """All checks of one framework on one device; a check that raises has failed, and says why."""
    checks: list[tuple[str, Callable[[Session], Finding]]] = [
        ("device events", device_events),
        ("memory events", memory_events),
        ("known bytes", known_bytes),
        ("known FLOPs", known_flops),
        ("ieee products", partial(products, precision="ieee")),
        ("default products", partial(products, precision="default")),
    ]
    if session.device == "gpu":
        checks.append(("tf32 products", partial(products, precision="tf32")))
    for name, check in checks:
        try:
            yield check(session)
        except Exception as error:  # noqa: BLE001  whatever a framework raises here is what the user must see
            yield Finding(check=name, result="fail", text=f"{type(error).__name__}: {str(error)[:200]}")


def device_events(session: Session) -> Finding:
    """Whether the profiler sees the device work, within the wall time of its own window."""
    array = numbers(session, STREAM_BYTES[session.device] // 4)
    device_s, wall_s = times(session, lambda: session.adapter.doubled(array))
    text = f"{device_s * 1e3:.3g} ms of device time in windows of {wall_s * 1e3:.3g} ms"
    return Finding(check="device events", result="pass", text=text)


def memory_events(session: Session) -> Finding:
    """Whether the profiler sees an array of known size come into being."""
    array = numbers(session, STREAM_BYTES[session.device] // 4)
    run(session, lambda: session.adapter.doubled(array))
    with session.profiler.trace(memory=True) as found, session.profiler.window("save"):
        kept = run(session, lambda: session.adapter.doubled(array))
    if not found[0].allocations:
        where = "none on a CPU: the compiler's buffer assignment and resident growth stand in"
        result: Result = "not applicable" if session.device == "cpu" else "fail"
        return Finding(check="memory events", result=result, text=where if session.device == "cpu" else "none")
    seen, size = timeline.peak_and_rest(found[0], "save")[1], STREAM_BYTES[session.device]
    del kept
    good = MEMORY[0] <= seen / size <= MEMORY[1]
    text = f"{seen / 1e6:.1f} MB for an array of {size / 1e6:.1f} MB"
    return Finding(check="memory events", result="pass" if good else "fail", text=text)


def known_bytes(session: Session) -> Finding:
    """An array is read and written: a CPU's device time must fill its window, a GPU's grow with the bytes."""
    size = STREAM_BYTES[session.device]
    array = numbers(session, size // 4)
    device_s, wall_s = times(session, partial(session.adapter.doubled, array))
    rate = f"{2 * size / device_s / 1e9:.3g} GB/s"
    if session.device == "cpu":
        text = f"{rate}; device time is {device_s / wall_s:.0%} of its window"
        return Finding(check="known bytes", result="pass" if device_s >= COVERED * wall_s else "fail", text=text)
    half_s, _ = times(session, partial(session.adapter.doubled, numbers(session, size // 8)))
    good = TWOFOLD[0] <= device_s / half_s <= TWOFOLD[1]
    text = f"{rate}; twice the bytes in {device_s / half_s:.2f} times the time"
    return Finding(check="known bytes", result="pass" if good else "fail", text=text)


def known_flops(session: Session) -> Finding:
    """A product of matrices; of twice the size it must take about eight times as long."""
    size, dtype = MATMUL_SIZE[session.device], MATMUL_DTYPE[session.device]
    precision: Precision = "ieee" if dtype == "float32" else "default"
    small, large = (numbers(session, n, n, dtype=dtype) for n in (size, 2 * size))
    first, second = (
        times(session, partial(session.adapter.matmul, each, each, precision))[0] for each in (small, large)
    )
    rate = 2 * (2 * size) ** 3 / second / 1e12
    text = f"{rate:.3g} TFLOP/s ({dtype} {precision}); eight times the work in {second / first:.1f} times the time"
    return Finding(check="known FLOPs", result=within(second / first, EIGHTFOLD), text=text)


def products(session: Session, precision: Precision) -> Finding:
    """Which arithmetic float32 products really have under a setting, by their error against float64."""
    host = np.random.default_rng(0).standard_normal((2, 512, 512)).astype(np.float32)
    a, b = (session.adapter.put(each, "float32") for each in host)
    found = session.adapter.numpy(session.adapter.block(session.adapter.matmul(a, b, precision)))
    exact = host[0].astype(np.float64) @ host[1].astype(np.float64)
    error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    kind = "IEEE float32" if error < IEEE_ERROR else "less than float32 (TF32 or bfloat16 passes)"
    good = precision != "ieee" or error < IEEE_ERROR
    text = f"{kind}, relative error {error:.1e}"
    return Finding(check=f"{precision} products", result="pass" if good else "fail", text=text)


def within(value: float, bounds: tuple[float, float]) -> Result:
    """``pass`` inside the bounds."""
    return "pass" if bounds[0] <= value <= bounds[1] else "fail"
