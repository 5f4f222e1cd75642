"""Seconds per call without a profiler: many calls back to back, with one wait at the end."""

from __future__ import annotations

from importlib import import_module
from math import ceil
from time import perf_counter
from typing import Any

from compare.backends import Programs
from compare.schema.records import PassName
from compare.worker.session import Session

RUN_S = 0.3


def long_run(session: Session, programs: Programs, name: PassName, device_s: float) -> tuple[float, int]:
    """Seconds per call, and the number of calls; ``device_s`` is the estimated time of one.

    PyTorch uses CUDA events on its stream.  JAX has a stream of its own and no events, so it uses wall-clock time: each
    launch but the first overlaps with the call before.
    """
    calls = max(2, ceil(RUN_S / device_s))
    if session.package == "jax_attn":
        return _wall_clock(session, programs, name, calls)
    return _cuda_events(session, programs, name, calls)


def _wall_clock(session: Session, programs: Programs, name: PassName, calls: int) -> tuple[float, int]:
    """JAX: a backward does not consume its residuals, so all calls share one set."""
    block = session.adapter.block
    saved = block(programs.save()) if name == "backward" else None
    result = block(_call(programs, name, saved))
    start = perf_counter()
    for _ in range(calls):
        result = _call(programs, name, saved)
    block(result)  # the stream is in order, so the last call ends last
    return (perf_counter() - start) / calls, calls


def _cuda_events(session: Session, programs: Programs, name: PassName, calls: int) -> tuple[float, int]:
    """PyTorch: events around all forwards; around each backward, while its forward half keeps the GPU busy."""
    cuda, block = import_module("torch").cuda, session.adapter.block
    _call(programs, name, block(programs.save()) if name == "backward" else None)  # keeps the GPU busy at the start
    if name == "backward":
        spans = [_backward_between(cuda, programs) for _ in range(calls)]
    else:
        start = _event(cuda)
        for _ in range(calls):
            _call(programs, name, None)
        spans = [(start, _event(cuda))]
    block(None)
    return sum(start.elapsed_time(end) for start, end in spans) / 1e3 / calls, calls


def _backward_between(cuda: Any, programs: Programs) -> tuple[Any, Any]:
    """A backward between two events.  Its forward half leaves the cache in the same state as in our own samples."""
    saved = programs.save()
    start = _event(cuda)
    _call(programs, "backward", saved)
    return start, _event(cuda)


def _event(cuda: Any) -> Any:
    """A timing event on the current stream."""
    event = cuda.Event(enable_timing=True)
    event.record()
    return event


def _call(programs: Programs, name: PassName, saved: Any) -> Any:
    return programs.backward(saved) if name == "backward" else programs.forward()
