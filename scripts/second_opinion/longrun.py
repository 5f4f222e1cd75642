"""Seconds of a pass without any profiler: many calls back to back, waited for once."""

from __future__ import annotations

from importlib import import_module
from math import ceil
from time import perf_counter
from typing import Any

from compare.backends import Programs
from compare.measuring import Session
from compare.records import PassName

RUN_S = 0.3
KEPT_BYTES = 16 * 2**30  # of residuals that wait for their backward
MOST_KEPT = 64


def long_run(session: Session, programs: Programs, name: PassName, device_s: float) -> tuple[float, int]:
    """Seconds of one call, and how many calls there were; ``device_s`` is about how long one takes.

    PyTorch by CUDA events on its stream.  JAX has no events and a stream of its own, so by the wall: the launches of
    all calls but the first are hidden behind the call before.
    """
    calls = max(2, ceil(RUN_S / device_s))
    if session.package == "jax_attn":
        return _by_the_wall(session, programs, name, calls)
    return _by_events(session, programs, name, calls)


def _by_the_wall(session: Session, programs: Programs, name: PassName, calls: int) -> tuple[float, int]:
    """JAX: a backward leaves its residuals as they are, so all calls share one set."""
    block = session.adapter.block
    saved = block(programs.save()) if name == "backward" else None
    result = block(_call(programs, name, saved))
    start = perf_counter()
    for _ in range(calls):
        result = _call(programs, name, saved)
    block(result)  # the last of a stream that keeps its order
    return (perf_counter() - start) / calls, calls


def _by_events(session: Session, programs: Programs, name: PassName, calls: int) -> tuple[float, int]:
    """PyTorch: a backward uses its residuals up, so they are made before, as many sets at a time as memory allows."""
    cuda, block = import_module("torch").cuda, session.adapter.block
    at_a_time = _sets(session, programs, calls) if name == "backward" else calls
    total_s, done = 0.0, 0
    while done < calls:
        saved = [programs.save() if name == "backward" else None for _ in range(at_a_time)]
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        block(None)
        _call(programs, name, block(programs.save()) if name == "backward" else None)  # the GPU is busy when it starts
        start.record()
        while saved:
            _call(programs, name, saved.pop())
        end.record()
        block(None)
        total_s += start.elapsed_time(end) / 1e3
        done += at_a_time
    return total_s / done, done


def _sets(session: Session, programs: Programs, calls: int) -> int:
    """How many sets of residuals may stand side by side."""
    before = session.adapter.counters()
    saved = session.adapter.block(programs.save())
    after = session.adapter.counters()
    del saved
    size = after.in_use_bytes - before.in_use_bytes if before and after else KEPT_BYTES
    return max(1, min(calls, MOST_KEPT, KEPT_BYTES // max(1, size)))


def _call(programs: Programs, name: PassName, saved: Any) -> Any:
    return programs.backward(saved) if name == "backward" else programs.forward()
