"""Inside the worker: work of known size, and how long the profiler says that the device took for it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from compare.profile import timeline
from compare.profile.timeline import Iteration
from compare.records import Dtype

if TYPE_CHECKING:
    from compare.worker.measuring import Session

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
    """Whether the device still doubles a few numbers: once a kernel has gone astray, CUDA refuses every call."""
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
    """So many calls as the profiler saw them; refused windows are taken again."""
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
