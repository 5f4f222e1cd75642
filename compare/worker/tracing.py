"""Inside the worker: one iteration as it is kept, span by span from the start of its window."""

from __future__ import annotations

from compare.profile.timeline import Allocation, Iteration, Span, Trace
from compare.records import Record

MOST_EVENTS = 20_000  # spans of one iteration that are kept, and as many allocations: some megabytes


class Ran(Record, frozen=True):
    """One iteration as the profiler saw it; moments are nanoseconds from the start of its window.

    ``spans`` and ``changes`` (of allocated bytes) say how many there were, where not all of them are kept.
    """

    device_s: float
    window_ns: int
    work: tuple[Span, ...]
    allocations: tuple[Allocation, ...]
    spans: int
    changes: int


def ran(trace: Trace, one: Iteration) -> Ran:
    """What is kept of an iteration: the first of its spans and of the allocations in its window."""
    end_ns = one.start_ns + round(one.window_s * 1e9)
    work = sorted(one.work, key=lambda span: span.start_ns)
    inside = [event for event in trace.allocations if one.start_ns <= event.time_ns <= end_ns and event.signed_bytes]
    inside.sort(key=lambda event: event.time_ns)
    return Ran(
        device_s=one.device_s,
        window_ns=end_ns - one.start_ns,
        work=tuple(
            span._replace(start_ns=span.start_ns - one.start_ns, end_ns=span.end_ns - one.start_ns)
            for span in work[:MOST_EVENTS]
        ),
        allocations=tuple(each._replace(time_ns=each.time_ns - one.start_ns) for each in inside[:MOST_EVENTS]),
        spans=len(work),
        changes=len(inside),
    )
