"""In the worker: one problem at a time.  Its contenders are prepared once and then sampled turn by turn.

It knows no framework: everything goes through the Adapter and the trace of `compare.backends`.
"""

from __future__ import annotations

import gc
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

from compare.backends import Adapter, Assigned, Programs
from compare.machine import memory as caches
from compare.machine.memory import ResidentGrowth, data_bytes
from compare.maths.prediction import output_bytes
from compare.profile import timeline
from compare.profile.timeline import Iteration, Trace
from compare.schema import records
from compare.schema.records import Cache, Case, Contender, Cost, Device, MemoryCurve, Notice, PassName, Problem
from compare.worker import composing, protocol
from compare.worker import memory as planned_memory
from compare.worker.pacing import SETTLE_S, Stopwatch, settling
from compare.worker.protocol import (
    Begin,
    Begun,
    End,
    Ended,
    Finish,
    Finished,
    Fit,
    Fitted,
    PassMemory,
    Prepare,
    Prepared,
    Recompile,
    Recompiled,
    Repeat,
    Repeated,
    Resident,
    Residents,
    Seen,
    Stream,
    Streamed,
    Turn,
    Turned,
)


def fit(session: Session, request: Fit) -> Fitted:
    """Run it once, on zeros: nothing is timed, and drawing random numbers would take longest."""
    session.forget()
    problem, contender = request.case.problem, request.case.contender
    with at_most(request.most_bytes):
        zeros = (np.zeros(shape, np.float32) for shape in shapes(request))
        inputs = tuple(session.adapter.put(each, problem.dtype) for each in zeros)
        attention = composing.find(session.package, contender).attention
        whole = composing.composed(attention, session.package, problem)
        programs = session.adapter.programs(whole, contender.mode, inputs, problem.matmul_precision)
        session.run(programs, request.pass_name)
    del programs, inputs
    session.forget()
    return Fitted()


def shapes(request: Fit) -> Iterator[tuple[int, ...]]:
    """Of q, k, v and dO, in the problem's layout."""
    problem = request.case.problem
    for b, t, n, h in (problem.q_shape, problem.kv_shape, problem.kv_shape, problem.q_shape):
        yield (b, t, n, h) if problem.layout == "btnh" else (b, n, t, h)


@contextmanager
def at_most(size_bytes: int | None) -> Iterator[None]:
    """Limit this process to ``size_bytes`` more than it holds, as a full machine would."""
    held = data_bytes()
    if size_bytes is None or held is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


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
    """Compile everything twice more: once to fill the caches, then for the record."""
    session.adapter.keep_programs(True)
    try:
        for _ in range(2):
            session.adapter.release()
            programs: Programs = session.programs_of(request.case)
            costs: dict[str, Cost] = {name: session.first_call(programs, name)[0] for name in request.passes}
    finally:
        session.adapter.keep_programs(False)
    return Recompiled(costs=costs)


Key = tuple[Contender, PassName]


def nothing() -> None:
    """What comes before an iteration unless the cache is to be cold."""


class Turns:
    """The turns of the prepared contenders of one problem."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stack = ExitStack()
        self._found: list[Trace] = []
        self._rounds: dict[Key, set[int]] = {}  # that had a profiled turn
        self._traced = False  # what ran, span by span
        self._kernels: dict[Key, Counter[str]] = {}
        self._confirmed: set[Key] = set()

    def expect(self, contender: Contender, kernels: dict[PassName, Counter[str]]) -> None:
        """The kernels of a contender in an earlier profile."""
        self._kernels |= {(contender, name): found for name, found in kernels.items()}

    def begin(self, request: Begin) -> Begun:
        """Open the profiler."""
        gc.collect()
        self._rounds, self._traced = {}, bool(request.own)
        first = not (self._session.devices and self._session.devices.rank)  # it writes for all
        own = Path(request.own) if request.own and first else None
        self._found = self._stack.enter_context(self._session.profiler.trace(memory=self._traced, own=own))
        return Begun()

    def take(self, request: Turn) -> Turned:
        """One turn in one pass: as many iterations as asked for, with wall-clock times or for the open profiler."""
        session, name = self._session, request.pass_name
        programs = session.prepared(request.contender)
        watch = Stopwatch()
        around = partial(session.profiler.window, self._label(request)) if request.profiled else watch
        gc.disable()
        try:
            if session.cache == "warm":
                self._settle(programs, request)
            before = session.evict if session.cache == "cold" else nothing
            for _ in range(request.count):
                session.run(programs, name, around, before)
        finally:
            gc.enable()
        return Turned(wall_s=tuple(watch.seconds), page_faults=watch.page_faults)

    def _settle(self, programs: Programs, request: Turn) -> None:
        """Run without samples until the previous contender no longer interferes."""
        pass_s = self._session.seconds_of(request.contender)[request.pass_name]
        calls = settling(self._session.device, pass_s, request.after_other)
        if request.after_other and not calls:
            sleep(SETTLE_S[self._session.device])
        for _ in range(calls):
            self._session.run(programs, request.pass_name)

    def _label(self, request: Turn) -> str:
        key = (request.contender, request.pass_name)
        self._rounds.setdefault(key, set()).add(request.round)
        return f"{list(self._rounds).index(key)}:{request.round}:{request.pass_name}"  # the name is for readers

    def end(self, request: End) -> Ended:
        """Close the profiler and sort its iterations into rounds; empty if it was never opened."""
        self._stack.close()
        found, self._found = self._found, []
        if not found:
            return Ended(seen=())
        seen: dict[tuple[int, int], list[Iteration]] = defaultdict(list)
        for one in timeline.iterations(found[0]):
            index, round_number, _ = one.label.split(":")
            seen[int(index), int(round_number)].append(one)
        return Ended(
            seen=tuple(
                self._seen(key, {at: seen[index, at] for at in sorted(rounds)}, request, found[0])
                for index, (key, rounds) in enumerate(self._rounds.items())
            )
        )

    def _seen(self, key: Key, rounds: dict[int, list[Iteration]], request: End, trace: Trace) -> Seen:
        """The rounds of one pass: the valid ones, and why the others are discarded."""
        count = request.count[key[0].name][key[1]]
        usual = timeline.usual_kernels(each for found in rounds.values() for each in found)
        changed = self._changed(key, usual)
        good: dict[int, list[Iteration]] = {}
        refused: dict[int, str] = {}
        for at, found in rounds.items():
            if reason := changed or _doubt(found, count, usual):
                refused[at] = f"{key[1]}: {reason}"
            else:
                good[at] = found
        typical = timeline.typical(each for found in good.values() for each in found)
        sent_s, hidden_s = timeline.communication(typical) if typical and self._shared else (None, None)
        return Seen(
            contender=key[0],
            pass_name=key[1],
            device_s={at: tuple(each.device_s for each in found) for at, found in good.items()},
            kernels=timeline.kernels(typical) if typical else (),
            refused=refused,
            communication_s=sent_s,
            hidden_s=hidden_s,
            graph_launches=typical.graph_launches if typical else 0,
            ran=protocol.ran(trace, typical) if typical and self._traced else None,
        )

    @property
    def _shared(self) -> bool:
        """Whether real devices share the problem: simulated ones are one device in a trace."""
        return self._session.devices is not None and self._session.device == "gpu"

    def _changed(self, key: Key, now: Counter[str]) -> str | None:
        """Profilers lose events: two traces in a row must show the same kernels, and later ones these."""
        before = self._kernels.get(key)
        if now == before or not now:
            self._confirmed |= {key} if now else set()
            return None
        if key not in self._confirmed and now:
            self._kernels[key] = now
        return timeline.difference("other kernels than before", before, now) if before is not None else None


def _doubt(found: Sequence[Iteration], count: int, usual: Counter[str]) -> str | None:
    if len(found) != count:
        return f"expected {count} windows in the trace, got {len(found)}"
    return next((reason for each in found if (reason := timeline.doubt(each, usual))), None)


Passes = tuple[PassName, ...]


MEMORY_SETTLE_S = 0.02  # JAX hands buffers back a moment after the last reference to them is gone
TOLERANCE = 0.02  # relative difference of saved bytes between allocation events and buffers


class MemoryProfile(NamedTuple):
    """Peak of each pass above its start, bytes saved for backward (None without it), kernels, warnings."""

    peaks: dict[PassName, PassMemory]
    saved_bytes: int | None
    kernels: dict[PassName, Counter[str]]
    notices: tuple[Notice, ...]


def measure_memory(session: Session, programs: Programs, passes: Passes, problem: Problem) -> MemoryProfile:
    """One profile with a window for each pass, and one in which what `save` keeps is still alive at the end."""
    with session.profiler.trace(memory=True) as found:
        by_buffers = _windows(session, programs, passes)
    trace = found[0]
    seen = {one.label: one for one in timeline.iterations(trace)}
    kernels = {name: seen[name].kernels for name in passes}
    peaks = {name: _peak(session, programs, trace, seen[name]) for name in passes}
    if passes == ("forward",):
        return MemoryProfile(peaks, None, kernels, ())
    planned = any(memory.buffer_bytes is not None for memory in peaks.values())  # it has no allocation events
    if planned or not trace.allocations:
        return MemoryProfile(peaks, by_buffers, kernels, ())
    saved = timeline.peak_and_rest(trace, "save")[1] - output_bytes(problem)
    return MemoryProfile(peaks, saved, kernels, _doubts(saved, by_buffers))


def _peak(session: Session, programs: Programs, trace: timeline.Trace, one: timeline.Iteration) -> PassMemory:
    name, assigned = one.label, programs.assigned(one.label)
    if assigned is None and not trace.allocations:
        raise RuntimeError(f"{name}: memory not measured: no allocation events and no buffer assignment")
    if assigned:
        peak_bytes, planned = assigned.peak_bytes, _planned(assigned, one)
        return PassMemory(peak_bytes=peak_bytes, source=assigned.source, over_time=planned, buffer_bytes=peak_bytes)
    source = session.profiler.SOURCE
    over_time = records.curve(timeline.fullest(timeline.levels(trace, name)), one.window_s, source)
    return PassMemory(peak_bytes=timeline.peak_and_rest(trace, name)[0], source=source, over_time=over_time)


def _planned(assigned: Assigned, one: timeline.Iteration) -> MemoryCurve:
    """Bytes of the buffer assignment in use over time, or why they are unknown."""
    try:
        levels = planned_memory.planned_levels(assigned, one)
    except planned_memory.Unplaced as error:
        return MemoryCurve(source=assigned.source, reason=str(error))
    return records.curve(levels, one.window_s, f"{assigned.source}, in use while its ops ran")


def _doubts(saved: int, by_buffers: int | None) -> tuple[Notice, ...]:
    """A warning where the saved buffers do not add up to the allocation events."""
    if by_buffers is None or abs(saved - by_buffers) <= max(TOLERANCE * by_buffers, 2**20):
        return ()
    sizes = {"events_bytes": float(saved), "buffers_bytes": float(by_buffers)}
    return (Notice(code="saved-bytes-disagree", numbers=sizes),)


def _windows(session: Session, programs: Programs, passes: Passes) -> int | None:
    """Run each pass in its own window; nothing of an earlier window is alive when the next begins."""
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
    """Wait for the device, and for freed buffers to be returned."""
    gc.collect()
    session.adapter.block(None)
    time.sleep(MEMORY_SETTLE_S)


TENSORS: dict[PassName, tuple[str, ...]] = {
    "forward": ("out",),
    "backward": ("dq", "dk", "dv"),
    "step": ("out", "dq", "dk", "dv"),
}
STEADY_GAIN = 0.05  # steady: the newest call is no more than this share faster than the fastest before it
FLOOD_BYTES: dict[Device, int] = {"cpu": 2**27, "gpu": 2**28}  # at least, to evict the last-level cache,
OVER_CACHE = 4  # and at least so many times as much as it holds
Around = Callable[[], AbstractContextManager[Any]]


class Session:
    """One backend in this process: the problem at hand and its prepared contenders."""

    def __init__(self, package: str, device: Device, threads: int, cache: Cache = "warm", devices: int = 1) -> None:
        self.package, self.device, self.cache = package, device, cache
        self.devices: composing.Devices | None = None
        if devices > 1:
            self.devices = import_module(f"{package}.devices").Devices(device, devices)
        self.adapter: Adapter = import_module(f"{package}.adapter").Adapter(device, threads)
        self.profiler: Any = import_module(f"{package}.profiler")
        self._problem: Problem | None = None
        self._inputs: Any = None
        self._programs: dict[Contender, Programs] = {}
        self._seconds: dict[Contender, dict[PassName, float]] = {}
        self.turns = Turns(self)
        self._flood: Any = None

    def prepare(self, request: Prepare) -> Prepared:
        """First calls with their costs, numbers for the agreement check, memory, warm-up."""
        case = request.case
        programs = self.programs_of(case)
        costs: dict[str, Cost] = {}
        for name in request.passes:
            costs[name], result = self.first_call(programs, name)
            self._write(result, name, Path(request.folder), "first")
            del result
        warnings = []
        for name in request.passes:
            watch, steady = self._warm_up(programs, name, request.warmup_budget_s / len(request.passes))
            costs[name] = _with_warmup(costs[name], watch)
            self._seconds[case.contender][name] = min(watch.seconds)
            if not steady:
                warnings.append(_unsteady(name, watch))
        memory = measure_memory(self, programs, request.passes, case.problem)
        self.turns.expect(case.contender, memory.kernels)
        gc.collect()
        gc.freeze()  # what the frameworks and the compiler left behind is never walked again, least of all in a turn
        return Prepared(
            costs=costs,
            seconds=self._seconds[case.contender],
            memory=memory.peaks,
            saved_bytes=memory.saved_bytes,
            fused={name: fused for name in request.passes if (fused := programs.fused_attention(name))},
            warnings=(*memory.notices, *warnings),
            contents={name: programs.contents(name) for name in request.passes},
            ran=composing.chosen(composing.find(self.package, case.contender), case.problem, self._inputs),
        )

    def programs_of(self, case: Case) -> Programs:
        """The passes of a case on the problem's inputs, which all its contenders share."""
        problem = case.problem
        if problem != self._problem:
            self.forget()
            self._inputs = composing.put(problem, self.adapter, self.devices)
            self._problem = problem
        attention = composing.find(self.package, case.contender).attention
        whole = composing.composed(attention, self.package, problem)
        programs = self.adapter.programs(whole, case.contender.mode, self._inputs, problem.matmul_precision)
        self._programs[case.contender], self._seconds[case.contender] = programs, {}
        return programs

    def prepared(self, contender: Contender) -> Programs:
        """The passes of a contender that has been prepared."""
        return self._programs[contender]

    def seconds_of(self, contender: Contender) -> dict[PassName, float]:
        """The fastest warm call of each pass of a prepared contender."""
        return self._seconds[contender]

    def run(
        self, programs: Programs, name: PassName, around: Around = nullcontext, before: Callable[[], None] = nothing
    ) -> Any:
        """One iteration of a pass, synchronised; ``around`` holds the pass itself, ``before`` comes just before it."""
        block = self.adapter.block
        # A compiled backward consumes its residuals, so the forward half runs again before it, outside.
        saved = block(programs.save()) if name == "backward" else None
        before()
        if self.devices:
            self.devices.meet()
        with around():
            if name == "backward":
                return block(programs.backward(saved))
            return block(programs.forward() if name == "forward" else programs.step())

    def evict(self) -> None:
        """Evict the last-level cache: read and write far more than it holds."""
        if self._flood is None:
            size_bytes = max(FLOOD_BYTES[self.device], OVER_CACHE * (caches.last_level_bytes(self.device) or 0))
            self._flood = self.adapter.put(np.ones(size_bytes // 4, np.float32), "float32")
        self.adapter.block(self.adapter.doubled(self._flood))

    def first_call(self, programs: Programs, name: PassName) -> tuple[Cost, Any]:
        """Run a pass of new programs; returns what it cost beside its result."""
        before, start = self.adapter.compile_times(), perf_counter()
        result = self.run(programs, name)
        elapsed, after = perf_counter() - start, self.adapter.compile_times()
        trace_s, compile_s = after.trace_s - before.trace_s, after.compile_s - before.compile_s
        return Cost(trace_s=trace_s, compile_s=compile_s, first_call_s=elapsed - trace_s - compile_s), result

    def _write(self, result: Any, name: PassName, folder: Path, when: str) -> None:
        """Write the numbers for verification as ``pass.tensor.when``; later ones only where they differ from the first.

        Another dtype than the problem's is an error.
        """
        tensors = (result,) if name == "forward" else result
        assert self._problem is not None
        for tensor, array in zip(TENSORS[name], tensors, strict=True):
            dtype = str(array.dtype).rpartition(".")[2]
            if dtype != self._problem.dtype:
                raise TypeError(f"{name} {tensor}: expected {self._problem.dtype}, got {dtype}")
            numbers = composing.numbers(array, self._problem, self.adapter, self.devices)
            if self.devices and self.devices.rank:
                continue  # the first process writes for all
            first = folder / f"{name}.{tensor}.first.npy"
            if when == "first" or not np.array_equal(np.load(first, mmap_mode="r"), numbers):
                np.save(folder / f"{name}.{tensor}.{when}.npy", numbers)

    def repeat(self, request: Repeat) -> Repeated:
        """The numbers of every sampled pass, computed once more after the last sample."""
        programs = self._programs[request.contender]
        for name in self._seconds[request.contender]:
            result = self.run(programs, name)
            self._write(result, name, Path(request.folder), "last")
            del result
        return Repeated()

    def _warm_up(self, programs: Programs, name: PassName, budget_s: float) -> tuple[Stopwatch, bool]:
        """Call until no call is faster than those before it, twice in a row, or until the budget is gone."""
        watch, calm = Stopwatch(), 0
        while calm < 2:
            self.run(programs, name, watch)
            if self.devices:
                watch.seconds[-1] = self.devices.slowest(watch.seconds[-1])
            *before, last = watch.seconds
            calm = calm + 1 if before and last > min(before) * (1 - STEADY_GAIN) else 0
            if sum(watch.seconds) > budget_s and len(watch.seconds) >= 2:
                break
        return watch, calm >= 1

    def stream(self, request: Stream) -> Streamed:
        """Streams of calls."""
        return stream(self, request)

    def recompile(self, request: Recompile) -> Recompiled:
        """Costs with warm compile caches."""
        return recompile(self, request)

    def resident(self, request: Resident) -> Residents:
        """Growth of resident memory in the second call of each pass; this process returns freed blocks at once."""
        programs = self.programs_of(request.case)
        growth: dict[PassName, int] = {}
        for name in request.passes:
            self.run(programs, name)
            settle(self)
            meter = ResidentGrowth()
            result = self.run(programs, name, meter)
            growth[name] = meter.peak_bytes
            del result
        return Residents(peak_bytes=growth)

    def fit(self, request: Fit) -> Fitted:
        """Whether one iteration of a pass runs at all."""
        return fit(self, request)

    def finish(self, _: Finish) -> Finished:
        """Forget the problem at hand."""
        self.forget()
        counters = self.adapter.counters()
        return Finished(held_bytes=counters.held_bytes if counters else 0)

    def discard(self, contender: Contender) -> None:
        """Forget one contender of the problem at hand."""
        self._programs.pop(contender, None)
        self._seconds.pop(contender, None)

    def forget(self) -> None:
        """Drop all that belongs to the problem at hand."""
        self._programs, self._seconds, self._problem, self._inputs = {}, {}, None, None
        self.turns, self._flood = Turns(self), None
        gc.collect()
        self.adapter.release()


def _with_warmup(cost: Cost, watch: Stopwatch) -> Cost:
    return Cost(
        trace_s=cost.trace_s,
        compile_s=cost.compile_s,
        first_call_s=cost.first_call_s,
        warmup_s=sum(watch.seconds),
        warmup_calls=len(watch.seconds),
    )


def _unsteady(name: PassName, watch: Stopwatch) -> Notice:
    return Notice(code="unsteady-warmup", pass_name=name, numbers={"calls": len(watch.seconds)})
