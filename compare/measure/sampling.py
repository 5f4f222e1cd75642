"""The rounds of one problem: contenders alternate in random order until the speedups are precise enough."""

from __future__ import annotations

import mmap
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Literal

from compare.machine import load
from compare.machine.load import Watch
from compare.maths import prediction
from compare.measure.workers import Answer, Broken, Fleet, expected, unexpected
from compare.profile import kinds
from compare.schema.records import (
    MIN_ROUNDS,
    RESIDENT,
    Conditions,
    Contender,
    Measurement,
    Notice,
    PassName,
    PassResult,
    Problem,
    Settings,
)
from compare.stats import disturbances, estimates
from compare.worker import pacing
from compare.worker.protocol import (
    Begin,
    Begun,
    End,
    Ended,
    Failed,
    Prepared,
    Request,
    Residents,
    Seen,
    Turn,
    Turned,
    Unsupported,
)

PAGE_BYTES = mmap.PAGESIZE


class Samples:
    """Wall and device samples of each contender and pass, in the order of the rounds."""

    def __init__(self) -> None:
        self.device_s: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.wall_s: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.last: dict[Contender, dict[PassName, Seen]] = defaultdict(dict)  # with a valid round
        self.refused: dict[Contender, list[str]] = defaultdict(list)
        self._page_faults: dict[Contender, int] = defaultdict(int)
        self._empty_blocks: dict[Contender, int] = defaultdict(int)
        self.wall_rounds = 0
        self.device_rounds = 0

    def add_wall(self, rounds: Sequence[dict[tuple[Contender, PassName], Turned]]) -> None:
        """Whole rounds of wall samples."""
        for each in rounds:
            for (contender, name), turned in each.items():
                self.wall_s[contender][name] += turned.wall_s
                self._page_faults[contender] += turned.page_faults
        self.wall_rounds += len(rounds)

    def add_device(self, seen: Sequence[Seen], active: Sequence[Contender]) -> None:
        """Add a block of profiled rounds; a round discarded for one contender is discarded for all."""
        whole = set.intersection(*(set(each.device_s) for each in seen)) if seen else set()
        refused = {each.contender for each in seen if each.refused}
        useless = {each.contender for each in seen if not each.device_s}
        for contender in active:
            self._empty_blocks[contender] = self._empty_blocks[contender] + 1 if contender in useless else 0
        for each in seen:
            for at in sorted(whole):
                self.device_s[each.contender][each.pass_name] += each.device_s[at]
            if each.device_s:
                self.last[each.contender][each.pass_name] = each
        for contender in refused:
            reasons = {at: why for each in seen if each.contender == contender for at, why in each.refused.items()}
            self.refused[contender] += [reasons[at] for at in sorted(reasons)]
        self.device_rounds += len(whole)

    def empty_blocks(self, contender: Contender) -> int:
        """Consecutive blocks without a valid round of the contender."""
        return self._empty_blocks[contender]

    def faulted_bytes(self, contender: Contender) -> float:
        """Memory of fresh pages that the kernel mapped in each unprofiled call."""
        calls = sum(len(samples) for samples in self.wall_s[contender].values())
        return self._page_faults[contender] * PAGE_BYTES / calls if calls else 0.0


Again = Callable[[Contender], Prepared | Unsupported | Failed]
Fail = Callable[[Contender, Failed], None]
BLOCK_TRIES = 4  # consecutive blocks without a valid round of a contender


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
        self._order = random.Random(settings.seed)
        self._counts = {
            contender: {name: pacing.per_turn(settings, each.seconds[name]) for name in settings.passes}
            for contender, each in ready.items()
        }
        self._samples = Samples()
        self._last_worker = ""
        self._restarted: set[Contender] = set()
        self._watch = Watch(settings.device)
        self._conditions = Conditions()
        self.stopped: Literal["steady", "budget", "samples"] = "budget"

    def run(self, again: Again, fail: Fail) -> set[Contender]:
        """Sample until done; returns the contenders that failed, each passed to ``fail`` at once."""
        start, active = perf_counter(), list(self._ready)
        self._watch.start(self._fleet.pids())
        while active and not self._done(perf_counter() - start, active):
            try:
                self._block(active)
            except Broken as broken:
                fail(broken.contender, broken.failed)
                active.remove(broken.contender)
                self._revive(active, again, fail)
            for contender in [each for each in active if self._samples.empty_blocks(each) >= BLOCK_TRIES]:
                reason = f"RefusedWindow: {self._samples.refused[contender][-1]}"
                fail(contender, Failed(status="ERROR", stage="sampling", reason=reason))
                active.remove(contender)
        self._conditions = self._watch.conditions(self._fleet.pids())
        return set(self._ready) - set(active)

    # ------------------------------------------------------------------------------------------------ one block

    def _block(self, active: list[Contender]) -> None:
        wall_rounds, device_rounds = self._sizes(active)
        self._say(f"rounds {self._samples.device_rounds + 1} to {self._samples.device_rounds + device_rounds}")
        wall = [self._round(at, active, profiled=False) for at in range(wall_rounds)]
        workers = {self._fleet.worker(each): each for each in active}.values()  # one contender of each
        try:
            for each in workers:
                self._ask(each, Begin(), Begun)
            for at in range(device_rounds):
                self._round(at, active, profiled=True)
            self._watch.look()
        except Broken:
            with suppress(Broken):
                self._end(workers)
            raise
        ended = self._end(workers)
        self._samples.add_wall(wall)
        self._samples.add_device([seen for each in ended for seen in each.seen], active)

    def _sizes(self, active: list[Contender]) -> tuple[int, int]:
        """Rounds of this block without and with the profilers."""
        if self._settings.samples:
            left = self._settings.samples - self._samples.device_rounds
            return self._settings.samples - self._samples.wall_rounds, min(left, pacing.MOST_PER_BLOCK)
        lengths = ((self._ready[each].seconds[name], n) for each in active for name, n in self._counts[each].items())
        return pacing.rounds(self._settings, lengths)

    def _round(self, at: int, active: list[Contender], profiled: bool) -> dict[tuple[Contender, PassName], Turned]:
        """Each contender once in each pass, in a new random order for each pass."""
        taken: dict[tuple[Contender, PassName], Turned] = {}
        for name in self._settings.passes:
            for each in self._order.sample(active, len(active)):
                turn = Turn(
                    contender=each,
                    pass_name=name,
                    count=self._counts[each][name],
                    round=at,
                    profiled=profiled,
                    after_other=self._last_worker != self._fleet.worker(each),
                )
                self._last_worker = self._fleet.worker(each)
                taken[each, name] = self._ask(each, turn, Turned)
        return taken

    def _end(self, workers: Iterable[Contender]) -> list[Ended]:
        """Close the profilers of all live workers, then raise for the one that failed."""
        counts = {contender.name: count for contender, count in self._counts.items()}
        replies = [(each, self._fleet.ask(each, End(count=counts))) for each in workers if self._fleet.alive(each)]
        return [expected(each, reply, Ended) for each, reply in replies]

    def _ask(self, contender: Contender, request: Request, kind: type[Answer]) -> Answer:
        return expected(contender, self._fleet.ask(contender, request), kind)

    def _revive(self, active: list[Contender], again: Again, fail: Fail) -> None:
        """Prepare the contenders of crashed workers again, and once more after each further failure."""
        waiting = [each for each in active if not self._fleet.alive(each)]
        if waiting:
            self._say(f"worker restarted; preparing {', '.join(each.name for each in waiting)}")
        while waiting:
            contender = waiting.pop(0)
            reply = again(contender)
            self._last_worker = ""
            self._restarted.add(contender)
            if isinstance(reply, Prepared):
                self._ready[contender] = reply
            else:
                fail(contender, reply if isinstance(reply, Failed) else unexpected(reply))
                active.remove(contender)
                worker = self._fleet.worker(contender)
                waiting = [each for each in active if self._fleet.worker(each) == worker or each in waiting]

    def _done(self, elapsed_s: float, active: list[Contender]) -> bool:
        samples = self._samples
        if self._settings.samples:
            self.stopped = "samples"
            return samples.device_rounds >= self._settings.samples
        if min(samples.device_rounds, samples.wall_rounds) < MIN_ROUNDS:
            return False
        target = estimates.target_half_width(self._settings.same_within)
        if estimates.steady({each: self._results(each) for each in active}, target):
            self.stopped = "steady"
            return True
        return elapsed_s >= self._settings.budget_s / self._settings.processes * len(active)

    # ------------------------------------------------------------------------------------------------ the rows

    def _results(self, contender: Contender, residents: Residents | None = None) -> dict[PassName, PassResult]:
        return {name: self._result(contender, name, residents) for name in self._settings.passes}

    def _result(self, contender: Contender, name: PassName, residents: Residents | None) -> PassResult:
        memory, grown = self._ready[contender].memory[name], residents.peak_bytes[name] if residents else None
        larger = grown is not None and grown > memory.peak_bytes
        seen = self._samples.last[contender].get(name)
        return PassResult(
            device_s=tuple(self._samples.device_s[contender][name]),
            wall_s=tuple(self._samples.wall_s[contender][name]),
            per_round=self._counts[contender][name],
            peak_bytes=grown if larger and grown is not None else memory.peak_bytes,
            peak_source=RESIDENT if larger else memory.source,
            kernels=kinds.with_contents(seen.kernels if seen else (), self._ready[contender].contents.get(name)),
            communication_s=seen.communication_s if seen else None,
            hidden_s=seen.hidden_s if seen else None,
            graph_launches=seen.graph_launches if seen else 0,
            resident_bytes=grown,
            buffer_bytes=memory.buffer_bytes,
            memory_over_time=memory.over_time,
        )

    def measurement(self, contender: Contender, residents: Residents | None) -> Measurement:
        """The row of a contender that was sampled to the end."""
        ready, passes = self._ready[contender], self._results(contender, residents)
        naive = kinds.check(contender.variant, self._problem, passes, ready.fused)
        return Measurement(
            problem=self._problem,
            contender=contender,
            passes=passes,
            saved_bytes=ready.saved_bytes,
            input_bytes=prediction.input_bytes(self._problem),
            output_bytes=prediction.output_bytes(self._problem),
            costs=ready.costs,
            stopped=self.stopped,
            warnings=ready.warnings + naive + self._notes(contender) + disturbances.notices(passes),
            conditions=self._conditions,
            ran=ready.ran,
        )

    def _notes(self, contender: Contender) -> tuple[Notice, ...]:
        notes = []
        if refused := self._samples.refused[contender]:
            notes.append(Notice(code="refused-windows", numbers={"rounds": len(refused)}, names=(refused[-1],)))
        faulted = self._samples.faulted_bytes(contender)
        if self._settings.device == "cpu" and faulted > prediction.score_bytes(self._problem) / 2:
            notes.append(Notice(code="page-faults", numbers={"bytes": faulted}))
        if contender in self._restarted:
            notes.append(Notice(code="restarted"))
        return tuple(notes) + load.notices(self._conditions)
