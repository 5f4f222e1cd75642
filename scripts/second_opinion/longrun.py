"""Seconds of a pass without any profiler: many calls back to back, waited for once."""

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
    """PyTorch: around all forwards together; around each backward, whose forward half keeps the GPU busy before it."""
    cuda, block = import_module("torch").cuda, session.adapter.block
    _call(programs, name, block(programs.save()) if name == "backward" else None)  # the GPU is busy when it starts
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
    """A backward between two events.  The forward half before it leaves the cache as it does before ours."""
    saved = programs.save()
    start = _event(cuda)
    _call(programs, "backward", saved)
    return start, _event(cuda)


def _event(cuda: Any) -> Any:
    """A moment of the GPU's stream."""
    event = cuda.Event(enable_timing=True)
    event.record()
    return event


def _call(programs: Programs, name: PassName, saved: Any) -> Any:
    return programs.backward(saved) if name == "backward" else programs.forward()
