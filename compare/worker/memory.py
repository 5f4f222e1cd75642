"""Memory over time where a compiler planned it: which slices of its plan hold something live, as its ops ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compare.backends import Assigned, Buffer
from compare.profile.timeline import Iteration, union_length
from compare.schema.records import Level


class Unplaced(Exception):
    """The times at which buffers were in use are unknown, and why."""


class Life(NamedTuple):
    """A buffer from the moment at which its writer began until its last reader ended, and a result for ever."""

    born_ns: int
    died_ns: int
    buffer: Buffer


def planned_levels(assigned: Assigned, one: Iteration) -> list[Level]:
    """How much of the plan is in use, from each moment on that changes it.  Raises Unplaced.

    Buffers that share bytes of a block count once, so it is never more than the plan.
    """
    if assigned.untold:
        raise Unplaced(assigned.untold)
    begins, ends = ran(one)
    lives = [life(buffer, begins, ends) for buffer in assigned.buffers]
    waiting = sorted(lives, key=lambda each: each.born_ns, reverse=True)
    alive: list[Life] = []
    found = []
    moments = {each.born_ns for each in lives} | {each.died_ns for each in lives if not each.buffer.result}
    for moment in sorted(moments):
        while waiting and waiting[-1].born_ns <= moment:
            alive.append(waiting.pop())
        alive = [each for each in alive if each.died_ns > moment or each.buffer.result]
        found.append(Level(moment - one.start_ns, in_use_bytes([each.buffer for each in alive])))
    return found


def ran(one: Iteration) -> tuple[dict[str, int], dict[str, int]]:
    """When each op first began, and when it last ended."""
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for span in one.work:
        begins[span.name] = min(begins.get(span.name, span.start_ns), span.start_ns)
        ends[span.name] = max(ends.get(span.name, span.end_ns), span.end_ns)
    return begins, ends


def life(buffer: Buffer, begins: dict[str, int], ends: dict[str, int]) -> Life:
    """When a buffer was in use.  Raises Unplaced."""
    involved = (buffer.writer, *buffer.readers)
    if missing := next((name for name in involved if name not in ends), ""):
        raise Unplaced(f"the profile does not show when {missing} ran")
    return Life(begins[buffer.writer], max(ends[name] for name in involved), buffer)


def in_use_bytes(buffers: Sequence[Buffer]) -> int:
    """Bytes that at least one of them covers."""
    slices: dict[int, list[tuple[int, int]]] = {}
    for each in buffers:
        slices.setdefault(each.block, []).append((each.start_bytes, each.end_bytes))
    return sum(union_length(own) for own in slices.values())
