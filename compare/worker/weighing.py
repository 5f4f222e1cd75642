"""Memory of the passes of a case: one profile with allocation events, or the compiler's buffer assignment."""

from __future__ import annotations

import gc
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from compare import memory_curve
from compare.backends import Assigned, Programs
from compare.maths.prediction import output_bytes
from compare.memory_curve import MemoryCurve
from compare.profile import timeline
from compare.records import Notice, PassName, Problem
from compare.worker import planned_memory
from compare.worker.messages import PassMemory

if TYPE_CHECKING:
    from compare.worker.measuring import Session

Passes = tuple[PassName, ...]


SETTLE_S = 0.02  # JAX hands buffers back a moment after the last reference to them is gone
TOLERANCE = 0.02  # by which saved bytes may differ between allocation events and the buffers themselves


class Weight(NamedTuple):
    """Peak of each pass above its start, bytes saved for backward (None without it), the kernels that ran, doubts."""

    peaks: dict[PassName, PassMemory]
    saved_bytes: int | None
    kernels: dict[PassName, Counter[str]]
    notices: tuple[Notice, ...]


def weigh(session: Session, programs: Programs, passes: Passes, problem: Problem) -> Weight:
    """One profile with a window for each pass, and one in which what `save` keeps is still alive at the end."""
    with session.profiler.trace(memory=True) as found:
        by_buffers = _windows(session, programs, passes)
    trace = found[0]
    seen = {one.label: one for one in timeline.iterations(trace)}
    kernels = {name: seen[name].kernels for name in passes}
    peaks = {name: _peak(session, programs, trace, seen[name]) for name in passes}
    if passes == ("forward",):
        return Weight(peaks, None, kernels, ())
    planned = any(memory.buffer_bytes is not None for memory in peaks.values())  # its events would tell of nothing
    if planned or not trace.allocations:
        return Weight(peaks, by_buffers, kernels, ())
    saved = timeline.peak_and_rest(trace, "save")[1] - output_bytes(problem)
    return Weight(peaks, saved, kernels, _doubts(saved, by_buffers))


def _peak(session: Session, programs: Programs, trace: timeline.Trace, one: timeline.Iteration) -> PassMemory:
    name, assigned = one.label, programs.assigned(one.label)
    if assigned is None and not trace.allocations:
        raise RuntimeError(f"{name}: cannot be weighed, there are neither allocation events nor a buffer assignment")
    if assigned:
        peak_bytes, planned = assigned.peak_bytes, _planned(assigned, one)
        return PassMemory(peak_bytes=peak_bytes, source=assigned.source, over_time=planned, buffer_bytes=peak_bytes)
    source = session.profiler.SOURCE
    over_time = memory_curve.curve(timeline.fullest(timeline.levels(trace, name)), one.window_s, source)
    return PassMemory(peak_bytes=timeline.peak_and_rest(trace, name)[0], source=source, over_time=over_time)


def _planned(assigned: Assigned, one: timeline.Iteration) -> MemoryCurve:
    """What of a plan was in use from moment to moment, or why that cannot be told."""
    try:
        levels = planned_memory.levels(assigned, one)
    except planned_memory.Unplaced as error:
        return MemoryCurve(source=assigned.source, reason=str(error))
    return memory_curve.curve(levels, one.window_s, f"{assigned.source}, in use while its ops ran")


def _doubts(saved: int, by_buffers: int | None) -> tuple[Notice, ...]:
    """Where a framework shows the saved buffers themselves, they must add up to what the allocation events say."""
    if by_buffers is None or abs(saved - by_buffers) <= max(TOLERANCE * by_buffers, 2**20):
        return ()
    text = f"saved bytes: {saved / 1e6:.1f} MB by allocation events, {by_buffers / 1e6:.1f} MB by the buffers"
    return (Notice(code="saved-bytes-disagree", text=f"{text}; do not trust this row's saved memory"),)


def _windows(session: Session, programs: Programs, passes: Passes) -> int | None:
    """Draw the windows; nothing of an earlier one is alive when the next begins."""
    window, block = session.profiler.window, session.adapter.block
    for name in passes:
        if name != "backward":
            settle(session)
            session.run(programs, name, partial(window, name))
    if passes == ("forward",):
        return None
    settle(session)
    with window("save"):
        saved = block(programs.save())
        settle(session)
    size = programs.saved_bytes(saved)
    if "backward" in passes:
        with window("backward"):
            result = block(programs.backward(saved))
        del result
    return size


def settle(session: Session) -> None:
    """Let the device finish and freed buffers go back."""
    gc.collect()
    session.adapter.block(None)
    time.sleep(SETTLE_S)
