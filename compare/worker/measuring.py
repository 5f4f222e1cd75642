"""Inside the worker: one problem at a time, its contenders prepared once and then sampled turn by turn.

Neutral to the framework: everything goes through the Adapter and the trace of `compare.backends`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from compare.backends import Adapter, Programs
from compare.circumstances import Cache
from compare.records import Case, Contender, Cost, Device, Notice, PassName, Problem
from compare.worker import caches, composing, fitting, launching, sharing, weighing
from compare.worker.clock import Stopwatch
from compare.worker.messages import (
    Finish,
    Finished,
    Fit,
    Fitted,
    Prepare,
    Prepared,
    Recompile,
    Recompiled,
    Repeat,
    Repeated,
    Resident,
    Residents,
    Stream,
    Streamed,
)
from compare.worker.resident import ResidentGrowth
from compare.worker.turns import Turns, nothing

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
        self.devices: sharing.Devices | None = None
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
        weight = weighing.weigh(self, programs, request.passes, case.problem)
        self.turns.expect(case.contender, weight.kernels)
        gc.collect()
        gc.freeze()  # what the frameworks and the compiler left behind is never walked again, least of all in a turn
        return Prepared(
            costs=costs,
            seconds=self._seconds[case.contender],
            memory=weight.peaks,
            saved_bytes=weight.saved_bytes,
            fused={name: fused for name in request.passes if (fused := programs.fused_attention(name))},
            warnings=(*weight.notices, *warnings),
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
        # A compiled backward uses its residuals up, so the forward half runs anew, outside.
        saved = block(programs.save()) if name == "backward" else None
        before()
        if self.devices:
            self.devices.meet()
        with around():
            if name == "backward":
                return block(programs.backward(saved))
            return block(programs.forward() if name == "forward" else programs.step())

    def evict(self) -> None:
        """Have the device read and write far more than its last-level cache holds, and wait for it."""
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
        """Leave the numbers for the judge, ``pass.tensor.when``, where they are not those of the first call.

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
        return launching.stream(self, request)

    def recompile(self, request: Recompile) -> Recompiled:
        """Costs with warm compile caches."""
        return launching.recompile(self, request)

    def resident(self, request: Resident) -> Residents:
        """Growth of resident memory in the second call of each pass; freed blocks go back at once in this process."""
        programs = self.programs_of(request.case)
        growth: dict[PassName, int] = {}
        for name in request.passes:
            self.run(programs, name)
            weighing.settle(self)
            meter = ResidentGrowth()
            result = self.run(programs, name, meter)
            growth[name] = meter.peak_bytes
            del result
        return Residents(peak_bytes=growth)

    def fit(self, request: Fit) -> Fitted:
        """Whether one iteration of a pass runs at all."""
        return fitting.fit(self, request)

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
    text = (
        f"{name}: still getting faster after {len(watch.seconds)} warm-up calls; raise --budget if the interval is wide"
    )
    return Notice(code="unsteady-warmup", text=text)
