"""In the worker: work of known size.  The device's copy and matmul rates, and whether the profiler is accurate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from compare.machine import memory
from compare.profile import timeline
from compare.profile.timeline import Iteration
from compare.schema.records import ITEM_BYTES, Device, DeviceRate, Dtype, Precision, Product, Rate
from compare.worker.pacing import Stopwatch
from compare.worker.protocol import Finding, Result

if TYPE_CHECKING:
    from compare.worker.session import Session


RANDOM_NUMBERS = 2**20
WARM_UP, SAMPLES = 10, 7  # the first calls still get fresh pages from a CPU's kernel
TRACES, FEWEST = 3, 2
TRIES = 4


def numbers(session: Session, *shape: int, dtype: Dtype = "float32") -> Any:
    """Random numbers on the device, again and again the same million: zeros would run faster."""
    host = np.random.default_rng(0).standard_normal(RANDOM_NUMBERS, dtype=np.float32)
    return session.adapter.put(np.resize(host, shape), dtype)


def run(session: Session, work: Callable[[], Any]) -> Any:
    """Run the work and wait for it."""
    return session.adapter.block(work())


def computes(session: Session) -> bool:
    """Whether the device still doubles a few numbers: after an illegal access CUDA refuses every call."""
    known = np.arange(8, dtype=np.float32)
    try:
        found = session.adapter.numpy(
            run(session, lambda: session.adapter.doubled(session.adapter.put(known, "float32")))
        )
    except Exception:  # noqa: BLE001  each framework has errors of its own for it
        return False
    return np.array_equal(found, 2 * known)


def times(session: Session, work: Callable[[], Any]) -> tuple[float, float]:
    """Median device time and median length of the windows, in seconds."""
    for _ in range(WARM_UP):
        run(session, work)
    seen = profiled(session, work, SAMPLES)
    return median(each.device_s for each in seen), median(each.window_s for each in seen)


class Pace(NamedTuple):
    """Device time of the fastest call and of the median one, in seconds."""

    fastest_s: float
    median_s: float

    @property
    def scatter(self) -> float:
        """How much longer the median call took, as a share of the fastest."""
        return self.median_s / self.fastest_s - 1


def pace(session: Session, work: Callable[[], Any], limit_s: float) -> Pace:
    """Of calls in several traces; fewer calls where they take longer than ``limit_s``.

    What else runs on the machine, and fresh pages, only ever make a call slower.
    """
    call_s, begin, calls = float("inf"), perf_counter(), 0
    while calls < 2 or (calls < WARM_UP and perf_counter() - begin < limit_s):
        start = perf_counter()
        run(session, work)
        call_s, calls = min(call_s, perf_counter() - start), calls + 1
    samples = max(FEWEST, min(SAMPLES, int(limit_s / TRACES / call_s)))
    seen = [each.device_s for _ in range(TRACES) for each in profiled(session, work, samples)]
    return Pace(min(seen), median(seen))


def profiled(session: Session, work: Callable[[], Any], samples: int) -> list[Iteration]:
    """So many calls as the profiler saw them; discarded windows are repeated."""
    for left in reversed(range(TRIES)):
        with session.profiler.trace() as found:
            for _ in range(samples):
                with session.profiler.window("forward"):
                    run(session, work)
        seen = timeline.iterations(found[0])
        try:
            timeline.check(seen, samples)
            return seen
        except timeline.RefusedWindow:
            if not left:
                raise
    raise AssertionError("unreachable")


LIMIT_S: dict[Device, float] = {"cpu": 0.25, "gpu": 1.0}  # about, for each warm-up and again for the samples
LINK_TRIES, LINK_CALLS = 4, 5
SMALLEST = 256  # a product of smaller matrices tells little


def measured(session: Session, request: Rate) -> Iterator[DeviceRate]:
    """One rate for each dtype and precision; where that fails, the reason stands in its place."""
    for product in request.products:
        unknown = DeviceRate(backend=request.backend, dtype=product.dtype, matmul_precision=product.matmul_precision)
        try:
            size_bytes, copying = copied(session, request.stream_bytes, product)
            flops, multiplying = multiplied(session, product)
            scatter, scattered = max((copying.scatter, "copies"), (multiplying.scatter, "products"))
            yield replace(
                unknown,
                copy_bytes_per_s=size_bytes / copying.fastest_s,
                matmul_flops_per_s=flops / multiplying.fastest_s,
                cache_bytes=memory.last_level_bytes(session.device),
                scatter=scatter,
                scattered=scattered,
            )
        except Exception as error:  # noqa: BLE001  a run goes on without a roofline bound
            yield replace(unknown, reason=f"{type(error).__name__}: {str(error)[:200]}")


def copied(session: Session, size_bytes: int, product: Product) -> tuple[int, Pace]:
    """Bytes read and written of an array far larger than a cache, and how long that takes."""
    count = size_bytes // ITEM_BYTES[product.dtype]
    work = partial(session.adapter.doubled, numbers(session, count, dtype=product.dtype))
    return 2 * count * ITEM_BYTES[product.dtype], pace(session, work, LIMIT_S[session.device])


def multiplied(session: Session, product: Product) -> tuple[int, Pace]:
    """FLOPs of a product of two square matrices, smaller ones where the device is slow at them, and its times."""
    size = product.size
    while size > SMALLEST and _product_s(session, product, size // 4) * 4**3 > LIMIT_S[session.device]:
        size //= 2
    return 2 * size**3, pace(session, _product(session, product, size), LIMIT_S[session.device])


def linked(session: Session, size_bytes: int) -> float:
    """Bytes per second that each device sends to the next one while it receives as much, by wall-clock time.

    As many calls on every device, whatever they take: they wait for each other.
    """
    assert session.devices
    host = np.random.default_rng(0).random((1, 1, 1, RANDOM_NUMBERS), np.float32)
    rows = size_bytes // host.nbytes
    whole = np.broadcast_to(host, (1, session.devices.count * rows, 1, RANDOM_NUMBERS))  # which takes no memory yet
    array = session.devices.put(whole, "float32")
    watch = Stopwatch()
    for _ in range(LINK_TRIES):
        session.devices.meet()
        with watch():
            for _ in range(LINK_CALLS):
                session.adapter.block(session.devices.shifted(array))
    return rows * host.nbytes * LINK_CALLS / min(watch.seconds)


def _product(session: Session, product: Product, size: int) -> Callable[[], Any]:
    a, b = (numbers(session, size, size, dtype=product.dtype) for _ in range(2))
    return partial(session.adapter.matmul, a, b, product.matmul_precision)


def _product_s(session: Session, product: Product, size: int) -> float:
    """Wall seconds of a second call: the first may compile."""
    watch, work = Stopwatch(), _product(session, product, size)
    for _ in range(2):
        with watch():
            run(session, work)
    return watch.seconds[-1]


STREAM_BYTES: dict[Device, int] = {"cpu": 2**27, "gpu": 2**30}  # far more than a cache holds
MATMUL_SIZE: dict[Device, int] = {"cpu": 1024, "gpu": 4096}
MATMUL_DTYPE: dict[Device, Dtype] = {"cpu": "float32", "gpu": "bfloat16"}  # XLA takes long to choose an IEEE kernel
TWOFOLD = (1.8, 2.2)  # a GPU's time for twice the bytes; its launches fill too much of so short a window
COVERED = 0.8  # of a window of known bytes is device time; its length is erratic where the kernel maps fresh pages
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
        where = "none on a CPU: memory comes from buffer assignment and resident growth"
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
