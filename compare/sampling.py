"""The rounds of one problem: contenders take turns in an order drawn anew each round, until the ratios are known."""

from __future__ import annotations

import mmap
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Literal

from compare import conditions, disturbances, naivety, prediction, summary
from compare.conditions import Watch
from compare.fleet import Fleet, unexpected
from compare.messages import Failed, Prepared, Residents, Turn, Turned, Unsupported
from compare.records import (
    MIN_ROUNDS,
    Conditions,
    Contender,
    Kernel,
    Measurement,
    Notice,
    PassName,
    PassResult,
    Problem,
    Settings,
)

Again = Callable[[Contender], Prepared | Unsupported | Failed]
Fail = Callable[[Contender, Failed], None]
TURN_S = {"cpu": 0.04, "gpu": 0.05}  # about this much of each pass in one turn,
PAGE_BYTES = mmap.PAGESIZE
MOST_PER_TURN = 10  # and at most so many iterations of it


class Sampling:
    """Samples of all contenders of one problem."""

    def __init__(
        self,
        fleet: Fleet,
        settings: Settings,
        problem: Problem,
        ready: Mapping[Contender, Prepared],
        say: Callable[[str], None],
    ) -> None:
        self._fleet, self._settings, self._problem, self._say = fleet, settings, problem, say
        self._ready = dict(ready)
        self._counts = {contender: self._per_round(each) for contender, each in ready.items()}
        self._device: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._wall: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._kernels: dict[Contender, dict[PassName, tuple[Kernel, ...]]] = {}
        self._refused: dict[Contender, list[str]] = defaultdict(list)
        self._page_faults: dict[Contender, int] = defaultdict(int)
        self._restarted: set[Contender] = set()
        self._watch = Watch(settings.device)
        self._conditions = Conditions()
        self.stopped: Literal["steady", "budget", "samples"] = "budget"

    def _per_round(self, ready: Prepared) -> dict[PassName, int]:
        if self._settings.samples:
            return dict.fromkeys(self._settings.passes, 1)
        turn_s = TURN_S[self._settings.device]
        return {name: max(1, min(MOST_PER_TURN, int(turn_s / ready.seconds[name]))) for name in self._settings.passes}

    def run(self, again: Again, fail: Fail) -> set[Contender]:
        """Sample until done; returns the contenders that failed on the way, each told to ``fail`` at once."""
        order = random.Random(self._settings.seed)
        start, rounds, active = perf_counter(), 0, list(self._ready)
        self._watch.start(self._fleet.pids())
        while active and not self._done(rounds, perf_counter() - start, active):
            self._say(f"round {rounds + 1}: contenders take turns")
            for contender in order.sample(active, len(active)):
                failed = self._turn(contender) if contender in active else None
                if failed:
                    fail(contender, failed)
                    active.remove(contender)
                    self._revive(contender, active, again, fail)
            self._watch.look()
            rounds += 1
        self._conditions = self._watch.conditions(self._fleet.pids())
        return set(self._ready) - set(active)

    def _turn(self, contender: Contender) -> Failed | None:
        reply = self._fleet.ask(contender, Turn(contender=contender, per_round=self._counts[contender]))
        if not isinstance(reply, Turned):
            return reply if isinstance(reply, Failed) else unexpected(reply)
        for name in reply.device_s:
            self._device[contender][name] += reply.device_s[name]
            self._wall[contender][name] += reply.wall_s[name]
        self._kernels[contender] = reply.kernels
        self._refused[contender] += reply.refused
        self._page_faults[contender] += reply.page_faults
        return None

    def _revive(self, failed: Contender, active: list[Contender], again: Again, fail: Fail) -> None:
        """Prepare the others of a failed contender's worker anew; all of them again after each further failure."""
        seat = self._fleet.seat(failed)
        waiting = [each for each in active if self._fleet.seat(each) == seat]
        while waiting:
            contender = waiting.pop(0)
            reply = again(contender)
            self._restarted.add(contender)
            if isinstance(reply, Prepared):
                self._ready[contender] = reply
            else:
                fail(contender, reply if isinstance(reply, Failed) else unexpected(reply))
                active.remove(contender)
                waiting = [each for each in active if self._fleet.seat(each) == seat]

    def _done(self, rounds: int, elapsed_s: float, active: list[Contender]) -> bool:
        if self._settings.samples:
            self.stopped = "samples"
            return rounds >= self._settings.samples
        if rounds < MIN_ROUNDS:
            return False
        if summary.steady({each: self._results(each) for each in active}):
            self.stopped = "steady"
            return True
        return elapsed_s >= self._settings.budget_s * len(active)

    def _results(self, contender: Contender, residents: Residents | None = None) -> dict[PassName, PassResult]:
        return {name: self._result(contender, name, residents) for name in self._settings.passes}

    def _result(self, contender: Contender, name: PassName, residents: Residents | None) -> PassResult:
        memory = self._ready[contender].memory[name]
        grown = residents.peak_bytes[name] if residents else None
        larger = grown is not None and grown > memory.peak_bytes
        return PassResult(
            device_s=tuple(self._device[contender][name]),
            wall_s=tuple(self._wall[contender][name]),
            per_round=self._counts[contender][name],
            peak_bytes=grown if larger and grown is not None else memory.peak_bytes,
            peak_source="resident growth of a fresh process" if larger else memory.source,
            kernels=self._kernels[contender][name],
            resident_bytes=grown,
            buffer_bytes=memory.buffer_bytes,
        )

    def measurement(self, contender: Contender, residents: Residents | None, alone: bool) -> Measurement:
        """The row of a contender that was sampled to the end."""
        ready, passes = self._ready[contender], self._results(contender, residents)
        naive = naivety.check(contender.variant, self._problem, passes, ready.fused)
        return Measurement(
            problem=self._problem,
            contender=contender,
            passes=passes,
            saved_bytes=ready.saved_bytes,
            input_bytes=prediction.input_bytes(self._problem),
            output_bytes=prediction.output_bytes(self._problem),
            costs=ready.costs,
            stopped=self.stopped,
            alone=alone,
            warnings=ready.warnings + naive + self._notes(contender) + disturbances.notices(passes),
            conditions=self._conditions,
        )

    def _faulted_bytes(self, contender: Contender) -> float:
        """Memory that the kernel had to hand out anew in each un-profiled call."""
        calls = sum(len(samples) for samples in self._wall[contender].values())
        return self._page_faults[contender] * PAGE_BYTES / calls if calls else 0.0

    def _notes(self, contender: Contender) -> tuple[Notice, ...]:
        notes = []
        if refused := self._refused[contender]:
            text = f"profiled windows refused and taken again: {len(refused)}, the last because {refused[-1]}"
            notes.append(Notice(code="refused-windows", text=text))
        faulted = self._faulted_bytes(contender)
        if self._settings.device == "cpu" and faulted > prediction.score_bytes(self._problem) / 2:
            text = f"{faulted / 1e6:.1f} MB of pages were faulted in per call, and timed; see --malloc"
            notes.append(Notice(code="page-faults", text=text))
        if contender in self._restarted:
            text = "its worker was replaced between two rounds; rerun if the samples look bimodal"
            notes.append(Notice(code="restarted", text=text))
        return tuple(notes) + conditions.notices(self._conditions)
