"""Inside the worker: what a call costs beside the device's work, and what a second compilation costs."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from compare.backends import Programs
from compare.records import Cost, PassName
from compare.worker.messages import Recompile, Recompiled, Stream, Streamed

if TYPE_CHECKING:
    from compare.worker.measuring import Session

STREAM_S = 0.05  # about this long is a stream,
MOST_CALLS = 100  # at most so many calls,
STREAMS = 7  # and so many streams are timed: six give an interval


def stream(session: Session, request: Stream) -> Streamed:
    """Calls issued one after the other without waiting; a backward needs its own forward first, so it has no stream."""
    programs, seconds = session.prepared(request.contender), session.seconds_of(request.contender)
    issued: dict[PassName, Callable[[], Any]] = {"forward": programs.forward, "step": programs.step}
    found: dict[PassName, tuple[float, ...]] = {}
    for name in request.passes:
        if name in issued:
            calls = max(2, min(MOST_CALLS, int(STREAM_S / seconds[name])))
            found[name] = tuple(_per_call(session, issued[name], calls) for _ in range(STREAMS))
    return Streamed(call_s=found)


def _per_call(session: Session, issue: Callable[[], Any], calls: int) -> float:
    result = session.adapter.block(issue())
    gc.collect()
    gc.disable()  # as in the turns
    try:
        start = perf_counter()
        for _ in range(calls):
            result = issue()  # the one before is given back at once, as a training loop does
        session.adapter.block(result)
        return (perf_counter() - start) / calls
    finally:
        gc.enable()


def recompile(session: Session, request: Recompile) -> Recompiled:
    """Compile everything twice more: once to be sure that the caches hold it, then for the record."""
    session.adapter.keep_programs(True)
    try:
        for _ in range(2):
            session.adapter.release()
            programs: Programs = session.programs_of(request.case)
            costs: dict[str, Cost] = {name: session.first_call(programs, name)[0] for name in request.passes}
    finally:
        session.adapter.keep_programs(False)
    return Recompiled(costs=costs)
