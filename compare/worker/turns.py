"""Inside the worker: a contender's turns of a round, wall samples without a profiler and device samples under one.

The profiler stays open over many short turns, so that contenders alternate within milliseconds whatever it costs to
open, and its cost is shared.  What it saw is sorted back into rounds when it is closed.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from compare.backends import Programs
from compare.profile import timeline
from compare.profile.timeline import Iteration, Trace
from compare.records import Contender, PassName
from compare.worker import tracing
from compare.worker.clock import Stopwatch
from compare.worker.messages import Begin, Begun, End, Ended, Seen, Turn, Turned
from compare.worker.pacing import SETTLE_S, settling

if TYPE_CHECKING:
    from compare.worker.measuring import Session

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
        self._told = False  # what ran, span by span
        self._kernels: dict[Key, Counter[str]] = {}
        self._confirmed: set[Key] = set()

    def expect(self, contender: Contender, kernels: dict[PassName, Counter[str]]) -> None:
        """What an earlier profile saw of a contender."""
        self._kernels |= {(contender, name): found for name, found in kernels.items()}

    def begin(self, request: Begin) -> Begun:
        """Open the profiler."""
        gc.collect()
        self._rounds, self._told = {}, bool(request.own)
        first = not (self._session.devices and self._session.devices.rank)  # it writes for all
        own = Path(request.own) if request.own and first else None
        self._found = self._stack.enter_context(self._session.profiler.trace(memory=self._told, own=own))
        return Begun()

    def take(self, request: Turn) -> Turned:
        """One turn in one pass: as many iterations as asked for, timed by the wall or left to the open profiler."""
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
        """Run without taking samples until the neighbour's traces are gone."""
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
        """Close the profiler and sort what it saw into rounds; nothing where it was never opened."""
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
        """The rounds of one pass: those that can be true, and why the others cannot."""
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
            ran=tracing.ran(trace, typical) if typical and self._told else None,
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
