"""Memory of the passes of a case: one profile with allocation events, or the compiler's buffer assignment."""

from __future__ import annotations

import gc
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from compare import timeline
from compare.backends import Programs
from compare.messages import PassMemory
from compare.prediction import output_bytes
from compare.records import PassName, Problem

if TYPE_CHECKING:
    from compare.measuring import Session

Passes = tuple[PassName, ...]


def weigh(
    session: Session, programs: Programs, passes: Passes, problem: Problem
) -> tuple[dict[PassName, PassMemory], int | None, dict[PassName, Counter[str]]]:
    """Peak of each pass above its start, the bytes saved for backward (None without it), and the kernels that ran."""
    with session.profiler.trace(memory=True) as found:
        saved_by_buffers = _windows(session, programs, passes)
    trace, source = found[0], session.profiler.SOURCE[session.device]
    peaks: dict[PassName, PassMemory] = {}
    for name in passes:
        assigned = programs.buffer_bytes(name)
        peak = timeline.peak_and_rest(trace, name)[0] if assigned is None else assigned
        peaks[name] = PassMemory(peak_bytes=peak, source=source, buffer_bytes=assigned)
    seen = {one.label: one.kernels for one in timeline.iterations(trace)}
    kernels = {name: seen[name] for name in passes if name in seen}
    if passes == ("forward",):
        return peaks, None, kernels
    if trace.allocations:
        return peaks, timeline.peak_and_rest(trace, "save")[1] - output_bytes(problem), kernels
    return peaks, saved_by_buffers, kernels


def _windows(session: Session, programs: Programs, passes: Passes) -> int | None:
    """One window a pass; nothing of an earlier one is alive when the next begins."""
    gc.collect()
    window, block = session.profiler.window, session.adapter.block
    for name in passes:
        if name != "backward":
            session.run(programs, name, partial(window, name))
    if passes == ("forward",):
        return None
    with window("save"):
        saved = block(programs.save())
    size = programs.saved_bytes(saved)
    if "backward" in passes:
        with window("backward"):
            result = block(programs.backward(saved))
        del result
    return size
