"""Profiler events -> device time per iteration: one algorithm for every framework and device.

A framework's ``profiler`` module reduces its trace to three lists in one clock: the windows that the worker drew around
each iteration (synchronised at both ends), the ops or kernels that did work, and the allocations.  Device time of an
iteration is the length of the union of its work intervals: overlapping kernels and nested ops count once, gaps not.  Of
several devices in one trace it is the busiest one's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from compare.profile import kinds
from compare.schema.records import Kernel, Level


class Span(NamedTuple):
    """A named interval on one of the trace's devices, in nanoseconds of its clock; ``track``: a stream, a thread."""

    name: str
    start_ns: int
    end_ns: int
    device: int = 0
    track: str = ""


class Allocation(NamedTuple):
    """A signed change of a device's allocated bytes at a moment of the trace's clock."""

    time_ns: int
    signed_bytes: int
    device: int = 0


class Trace(NamedTuple):
    """The events of a profiler, in one clock."""

    windows: list[Span]
    work: list[Span]
    allocations: list[Allocation]
    graph_launches: Sequence[int] = ()  # when the host launched a CUDA graph


class Overlap:
    """Filters events that may belong to a window: reading all of a long trace costs more than recording it."""

    def __init__(self, windows: Iterable[Span]) -> None:
        ordered = sorted(windows, key=lambda window: window.start_ns)
        self._starts = [window.start_ns for window in ordered]
        self._ends = [window.end_ns for window in ordered]

    def __call__(self, start_ns: float, end_ns: float) -> bool:
        """Whether an interval shares a moment with a window (windows follow one another, they do not overlap)."""
        at = bisect_right(self._starts, end_ns) - 1
        return at >= 0 and self._ends[at] >= start_ns


class Iteration(NamedTuple):
    """One window: its label, its device time, its length, and what ran."""

    label: str
    device_s: float
    window_s: float
    work: tuple[Span, ...]
    graph_launches: int = 0
    start_ns: int = 0

    @property
    def kernels(self) -> Counter[str]:
        """Names of the ops or kernels and how often each ran."""
        return Counter(span.name for span in self.work)


class RefusedWindow(Exception):
    """A profiled window is not a valid sample, and why."""


def union_length(intervals: Iterable[tuple[int, int]]) -> int:
    """Length of the union of [start, end) intervals."""
    total, reach = 0, None
    for start, end in sorted(intervals):
        if reach is None or start > reach:
            total, reach = total + end - start, end
        elif end > reach:
            total, reach = total + end - reach, end
    return total


def busy_ns(work: Iterable[Span]) -> int:
    """How long at least one of them ran."""
    return union_length((span.start_ns, span.end_ns) for span in work)


def by_device(work: Iterable[Span]) -> list[list[Span]]:
    """The work of each device by itself."""
    found: dict[int, list[Span]] = {}
    for span in work:
        found.setdefault(span.device, []).append(span)
    return list(found.values())


def iterations(trace: Trace) -> list[Iteration]:
    """Share the work out to the windows by its midpoint: both clocks of a device agree to far less than a kernel."""
    windows = sorted(trace.windows, key=lambda window: window.start_ns)
    starts = [window.start_ns for window in windows]
    inside: list[list[Span]] = [[] for _ in windows]
    for span in trace.work:
        middle = (span.start_ns + span.end_ns) // 2
        at = bisect_right(starts, middle) - 1
        if at >= 0 and middle <= windows[at].end_ns:
            inside[at].append(span)
    return [
        Iteration(
            window.name,
            max((busy_ns(on_one) for on_one in by_device(work)), default=0) / 1e9,
            (window.end_ns - window.start_ns) / 1e9,
            tuple(work),
            sum(window.start_ns <= time_ns <= window.end_ns for time_ns in trace.graph_launches),
            window.start_ns,
        )
        for window, work in zip(windows, inside, strict=True)
    ]


def doubt(one: Iteration, usual: Counter[str]) -> str | None:
    """Why an iteration is not a valid sample; None for a valid one.

    Profilers drop kernels at the start of a window and have counted device time twice (pytorch/pytorch#192021,
    #193924): every iteration must show the usual kernels, some work, and no more device time than its window is long.
    """
    if not one.work or one.device_s <= 0:
        return "the profiler saw no device work"
    if one.device_s > one.window_s:
        return f"{one.device_s:.6f} s of device time in a window of {one.window_s:.6f} s wall time"
    if one.kernels != usual:
        return difference("other kernels than in most iterations", usual, one.kernels)
    return None


def typical(found: Iterable[Iteration]) -> Iteration | None:
    """The iteration whose device time is nearest to the median; an outlier would mislead."""
    known = list(found)
    if not known:
        return None
    middle = median(each.device_s for each in known)
    return min(known, key=lambda each: abs(each.device_s - middle))


def usual_kernels(found: Iterable[Iteration]) -> Counter[str]:
    """The kernels that most iterations show."""
    seen = Counter(frozenset(one.kernels.items()) for one in found)
    return Counter(dict(seen.most_common(1)[0][0])) if seen else Counter()


def check(found: Sequence[Iteration], expected: int) -> None:
    """Raise RefusedWindow if an iteration of a pass is not a valid sample."""
    if len(found) != expected:
        raise RefusedWindow(f"expected {expected} windows in the trace, got {len(found)}")
    for one in found:
        if reason := doubt(one, found[0].kernels):
            raise RefusedWindow(f"{one.label}: {reason}")


def difference(what: str, expected: Counter[str], found: Counter[str]) -> str:
    """One line that says which kernels are missing and which are extra."""
    missing, extra = dict(expected - found), dict(found - expected)
    return f"{what}: missing {missing or 'none'}, extra {extra or 'none'}"


def self_ns(work: Sequence[Span]) -> list[int]:
    """The time of each span alone, in the order given: an instant belongs to the latest-started span that covers it.

    Of spans that start together the shortest is the innermost.  The sum is the length of the union.
    """
    alone = [0] * len(work)
    moments = sorted({moment for span in work for moment in (span.start_ns, span.end_ns)})
    waiting = sorted(range(len(work)), key=lambda at: work[at].start_ns, reverse=True)
    running: list[tuple[int, int, int]] = []
    for moment, following in pairwise(moments):
        while waiting and work[waiting[-1]].start_ns <= moment:
            at = waiting.pop()
            heappush(running, (-work[at].start_ns, work[at].end_ns, at))
        while running and running[0][1] <= moment:
            heappop(running)
        if running:
            alone[running[0][2]] += following - moment
    return alone


def busiest(one: Iteration) -> list[Span]:
    """The work of the device with the most device time."""
    return max(by_device(one.work), key=busy_ns, default=[])


def kernels(one: Iteration) -> tuple[Kernel, ...]:
    """What ran in an iteration, longest first, with exclusive times: they add up to device time."""
    work = busiest(one)
    total: Counter[str] = Counter()
    for span, alone in zip(work, self_ns(work), strict=True):
        total[span.name] += alone
    count = Counter(span.name for span in work)
    return tuple(Kernel(name=name, count=count[name], device_s=ns / 1e9) for name, ns in total.most_common())


def communication(one: Iteration) -> tuple[float, float]:
    """Seconds in which the busiest device sent, received or waited, and how many of them it computed as well."""
    work = busiest(one)
    sent = [span for span in work if kinds.COMMUNICATION.match(span.name)]
    computed = [span for span in work if not kinds.COMMUNICATION.match(span.name)]
    return busy_ns(sent) / 1e9, (busy_ns(sent) + busy_ns(computed) - busy_ns(work)) / 1e9


def levels(trace: Trace, label: str) -> dict[int, list[Level]]:
    """The bytes of each device inside a window above its start, from each of its allocation events on."""
    window = next(window for window in trace.windows if window.name == label)
    found: dict[int, list[Level]] = {}
    for event in sorted(trace.allocations, key=lambda each: (each.time_ns, -each.signed_bytes)):
        if event.signed_bytes and window.start_ns <= event.time_ns <= window.end_ns:
            own = found.setdefault(event.device, [])
            before = own[-1].bytes if own else 0
            own.append(Level(event.time_ns - window.start_ns, before + event.signed_bytes))
    return found


def fullest(found: dict[int, list[Level]]) -> list[Level]:
    """The levels of the device that held most; none where nothing was allocated."""
    return max(found.values(), key=lambda own: max(each.bytes for each in own), default=[])


def peak_and_rest(trace: Trace, label: str) -> tuple[int, int]:
    """Highest sum of allocations inside a window above its start, and what is left at the window's end (bytes).

    Of the device that held most.
    """
    found = levels(trace, label)
    peak = max((each.bytes for each in fullest(found)), default=0)
    return max(0, peak), max((own[-1].bytes for own in found.values()), default=0)
