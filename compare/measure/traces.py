"""``--trace``: what the contenders of a problem ran, as files for ui.perfetto.dev, and each framework's profiles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from compare.__version__ import VERSION
from compare.profile import kinds
from compare.profile.timeline import Allocation, Span
from compare.schema.records import PASSES, Contender, Kernel, Measurement, PassName, PassResult, Problem
from compare.stats.estimates import device_time
from compare.worker.protocol import (
    Begin,
    Begun,
    End,
    Ended,
    Failed,
    Ran,
    Reply,
    Request,
    Seen,
    Turn,
    Turned,
    Unsupported,
)

GAP = 0.05  # between two passes, as a share of the first
THREADS = 10**5  # of a process at most; Perfetto joins threads of one number, and those of 0 or of their process's
Event = dict[str, Any]
Track = tuple[int, str, int]  # device, stream or thread, and which of the layers that it takes to show all spans


class Kept(NamedTuple):
    """A contender, what was measured of it, and what it ran."""

    contender: Contender
    passes: Mapping[PassName, PassResult]
    ran: Mapping[PassName, Ran]


def render(problem: Problem, kept: Sequence[Kept]) -> bytes:
    """The file."""
    processes = [Process(pid, each) for pid, each in enumerate(kept, 1)]
    events: list[Event] = []
    at_ns = 0
    for name in [name for name in PASSES if any(name in each.ran for each in kept)]:
        ends = [extent(each.ran[name]) for each in kept if name in each.ran]
        first_ns, last_ns = min(begin for begin, _ in ends), max(end for _, end in ends)
        events += [event for process in processes for event in process.events(name, at_ns - first_ns)]
        at_ns += round((last_ns - first_ns) * (1 + GAP))
    events.sort(key=lambda event: event["ts"])
    named = [event for process in processes for event in process.names()]
    other = {"problem": problem.label, "program": f"attention-compare {VERSION}"}
    return msgspec.json.encode({"displayTimeUnit": "ns", "otherData": other, "traceEvents": named + events})


def extent(ran: Ran) -> tuple[int, int]:
    """When its first span or window begins and the last one ends: a device's clock may be a little off the host's."""
    begins = min((span.start_ns for span in ran.work), default=0)
    return min(0, begins), max([ran.window_ns, *(span.end_ns for span in ran.work)])


class Process:
    """A contender as a process of the file."""

    def __init__(self, pid: int, kept: Kept) -> None:
        self._pid, self._kept, self._windows = pid, kept, pid * THREADS
        self._tracks: dict[Track, int] = {}
        self._several = len({span.device for ran in kept.ran.values() for span in ran.work}) > 1

    def names(self) -> Iterator[Event]:
        """What the process and its threads are called; of threads those that had events."""
        yield self._name("process_name", self._windows, {"name": self._kept.contender.name})
        yield self._name("process_sort_index", self._windows, {"sort_index": self._pid})
        yield self._name("thread_name", self._windows, {"name": "windows"})
        for (device, track, layer), tid in self._tracks.items():
            words = [track or "work", f"device {device}" * self._several, "overlapping" * bool(layer)]
            yield self._name("thread_name", tid, {"name": ", ".join(filter(None, words))})
            yield self._name("thread_sort_index", tid, {"sort_index": tid})

    def events(self, name: PassName, zero_ns: int) -> Iterator[Event]:
        """One pass, whose window begins at ``zero_ns``; nothing where it was not kept."""
        if name not in self._kept.ran:
            return
        ran, known = self._kept.ran[name], {each.name: each for each in self._kept.passes[name].kernels}
        window = Span(name, 0, ran.window_ns)
        yield self._span(window, self._windows, zero_ns, "window", self._about(name, ran))
        for device, track, spans in by_track(ran.work):
            for span, layer in layered(spans):
                tid = self._tracks.setdefault((device, track, layer), self._windows + 1 + len(self._tracks))
                kernel = known.get(span.name) or Kernel(name=span.name, count=1, device_s=0.0)
                inside = {"contents": ", ".join(kernel.contents)} if kernel.contents else {}
                yield self._span(span, tid, zero_ns, ", ".join(kinds.of(kernel)), inside)
        yield from self._levels(ran.allocations, zero_ns)

    def _about(self, name: PassName, ran: Ran) -> dict[str, Any]:
        """What one should know of an iteration: how it lies to the samples, and what is left out of it."""
        about: dict[str, Any] = {
            "device time of this iteration (ms)": ran.device_s * 1e3,
            "median of the samples (ms)": device_time(self._kept.passes[name]).median * 1e3,
        }
        for what, there, shown in (
            ("ops or kernels", ran.spans, len(ran.work)),
            ("changes of memory", ran.changes, len(ran.allocations)),
        ):
            if shown < there:
                about[f"shown of the {what}"] = f"the first {shown} of {there}"
        return about

    def _levels(self, changes: Sequence[Allocation], zero_ns: int) -> Iterator[Event]:
        """What each device had allocated above the start of the window, as a counter."""
        for device in sorted({each.device for each in changes}):
            own = [Allocation(0, 0, device), *(each for each in changes if each.device == device)]
            label = "allocated" + f", device {device}" * self._several
            for change, level in zip(own, accumulate(each.signed_bytes for each in own), strict=True):
                moment = {"name": label, "ph": "C", "ts": microseconds(zero_ns + change.time_ns)}
                yield moment | {"pid": self._pid, "args": {"bytes": level}}

    def _span(self, span: Span, tid: int, zero_ns: int, kind: str, about: dict[str, Any]) -> Event:
        times = {"ts": microseconds(zero_ns + span.start_ns), "dur": microseconds(span.end_ns - span.start_ns)}
        where = {"pid": self._pid, "tid": tid}
        return {"name": span.name, "cat": kind, "ph": "X"} | times | where | {"args": {"kind": kind} | about}

    def _name(self, what: str, tid: int, given: dict[str, Any]) -> Event:
        return {"name": what, "ph": "M", "pid": self._pid, "tid": tid, "args": given}


def by_track(work: Iterable[Span]) -> list[tuple[int, str, list[Span]]]:
    """The spans of each stream or thread of each device."""
    found: dict[tuple[int, str], list[Span]] = defaultdict(list)
    for span in work:
        found[span.device, span.track].append(span)
    return [(device, track, found[device, track]) for device, track in sorted(found)]


def layered(spans: Iterable[Span]) -> Iterator[tuple[Span, int]]:
    """Each span with the first layer in which it overlaps others by lying inside of them only, as viewers ask for."""
    layers: list[list[int]] = []  # in each the ends of the spans that are open, the innermost last
    for span in sorted(spans, key=lambda each: (each.start_ns, -each.end_ns)):
        for open_ in layers:
            while open_ and open_[-1] <= span.start_ns:
                open_.pop()
        layer = next((at for at, open_ in enumerate(layers) if not open_ or span.end_ns <= open_[-1]), len(layers))
        if layer == len(layers):
            layers.append([])
        layers[layer].append(span.end_ns)
        yield span, layer


def microseconds(ns: int) -> float:
    """The format's unit; its digits after the point are nanoseconds."""
    return ns / 1e3


FOLDER = "traces"
ITERATIONS = 5  # of each pass; the one nearest to their median is kept
TRIES = 3  # a profiler may lose events
LONGEST = 60  # characters of a contender in the name of a file
Ask = Callable[[Request], Reply]
Answer = TypeVar("Answer")


class Lost(Exception):
    """A worker failed to record a trace, and why."""


class Album:
    """The traces of one problem; its file is rewritten after each contender, so an interrupted run has one too."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self._problem, self._folder = problem, folder.absolute()
        self._kept: list[Kept] = []
        self._asked = 0

    def add(self, row: Measurement, ask: Ask) -> str:
        """Take the trace of a contender whose row is known; returns why a pass of it is missing, if one is."""
        self._asked += 1
        own = f"{file_name(self._problem)}-{self._asked}-{safe(row.contender.name)[-LONGEST:]}"
        try:
            self._folder.mkdir(exist_ok=True)
            seen = taken(row, ask, self._folder / own)
            ran = {each.pass_name: each.ran for each in seen if each.ran}
            self._kept.append(Kept(row.contender, row.passes, ran))
            (self._folder / f"{file_name(self._problem)}.json").write_bytes(render(self._problem, self._kept))
        except (Lost, OSError) as error:
            return str(error)
        return "; ".join(reason for each in seen for reason in each.refused.values())


def taken(row: Measurement, ask: Ask, own: Path) -> tuple[Seen, ...]:
    """What the profiler saw of each pass, with retries for invalid windows.  Raises Lost."""
    count = {row.contender.name: dict.fromkeys(row.passes, ITERATIONS)}
    for _ in range(TRIES):
        answer(ask(Begin(own=str(own))), Begun)
        for name in row.passes:
            turn = Turn(
                contender=row.contender, pass_name=name, count=ITERATIONS, round=0, profiled=True, after_other=True
            )
            answer(ask(turn), Turned)
        seen = answer(ask(End(count=count)), Ended).seen
        if not any(each.refused for each in seen):
            break
    return seen


def answer(reply: Reply, expected: type[Answer]) -> Answer:
    """The reply.  Raises Lost where it is another."""
    if not isinstance(reply, expected):
        raise Lost(reply.reason if isinstance(reply, Failed | Unsupported) else f"got {type(reply).__name__}")
    return reply


class Filed(NamedTuple):
    """A problem whose trace is there: its file, and each contender's own profile, as paths from the report's folder."""

    problem: Problem
    file: str
    own: dict[str, str]


def filed(problems: Iterable[Problem], out: Path) -> list[Filed]:
    """The traces that lie in a folder of results."""
    found = []
    for problem in dict.fromkeys(problems):
        name, folder = file_name(problem), out / FOLDER
        if (folder / f"{name}.json").is_file():
            own = {path.name: path for path in folder.glob(f"{name}-*.json")}
            own |= {path.parent.name: path for path in folder.glob(f"plugins/profile/{name}-*/*")}
            called = {each.removeprefix(f"{name}-"): own[each].relative_to(out).as_posix() for each in sorted(own)}
            found.append(Filed(problem, f"{FOLDER}/{name}.json", called))
    return found


def file_name(problem: Problem) -> str:
    """A problem as the name of a file, without its ending; the seed is not in it, which a run has only one of."""
    return safe(problem.label)


def safe(text: str) -> str:
    """Letters, digits, dots and dashes alone: a name on every file system, and in a link."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text.replace("=", "")).strip("-.")
