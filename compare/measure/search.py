"""How long a sequence still fits the device: the memory wall as a number, by lengths fourfold and then bisection.

One worker lives at a time, so that no other contender uses the device.  A try is one iteration of one pass at one
length.  On a CPU each try may take what the machine has free and no more, so nothing else is harmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from compare.machine.memory import available_bytes
from compare.measure.workers import Fleet
from compare.plan.cases import Plan
from compare.results import store
from compare.schema.records import Case, Contender, Device, DeviceReport, PassName, Problem, Record, Run
from compare.worker.protocol import Failed, Fit, Fitted, Unsupported

PASSES: tuple[PassName, ...] = ("forward", "step")
FIRST = 1024  # where the search starts, then FACTOR times as far; lengths are multiples of GRAIN,
FACTOR = 4
GRAIN = 128
SHARE = 32  # and the answer is known to within this part of itself
MOST: dict[Device, int] = {"cpu": 2**16, "gpu": 2**20}
RECORDS = store.LONGEST
FREE_SHARE = 0.9  # of a CPU's free memory, for one try


class Reach(Record, frozen=True, tag_field="kind", tag="reach"):
    """The longest sequence of one contender in one pass; ``problem`` is that of the longest try.

    ``longest`` is 0 where not even the shortest fits.  ``refused``: the shortest length that did not fit, and why; None
    where the longest length that was asked for still fits.
    """

    problem: Problem
    contender: Contender
    pass_name: PassName
    longest: int
    refused: int | None
    reason: str
    tries: dict[int, str] = msgspec.field(default_factory=dict)


def read(path: Path) -> tuple[Run, list[Reach]]:
    """The run record and the answers of a file.  Raises ValueError with the number of a bad line."""
    decoder: msgspec.json.Decoder[Run | Reach] = msgspec.json.Decoder(Run | Reach)
    faults: list[str] = []
    records = [record for _, record in store.records(path, decoder, faults)]
    store.refuse(faults)
    run = store.last_run(path, [record for record in records if isinstance(record, Run)], faults)
    return run, [record for record in records if isinstance(record, Reach)]


class Found(NamedTuple):
    """The longest length that fits, the shortest that does not, and the outcome of every length tried."""

    longest: int
    refused: int | None
    tries: dict[int, str]


def search(refusal: Callable[[int], str], most: int, known: Found | None = None) -> Found:
    """FACTOR times as far until ``refusal`` of a length is not empty, then halve the gap.

    Assumes that longer sequences need more memory, and at least as much as in ``known``.
    """
    tries: dict[int, str] = {}
    low, high = 0, known.refused if known else None
    guess = known.longest // 2 // GRAIN * GRAIN if known else 0
    at = guess or following(low, high, most)
    while at is not None:
        tries[at] = refusal(at)
        low, high = (low, at) if tries[at] else (at, high)
        at = following(low, high, most)
    return Found(low, high, tries)


def following(low: int, high: int | None, most: int) -> int | None:
    """The length to try where ``low`` fits (0: none is known to) and ``high`` does not; None where that is enough."""
    first = min(FIRST, most)
    if high is None:
        return None if low == most else min(FACTOR * low, most) or first
    if not low and high > first:
        return max(first, high // FACTOR // GRAIN * GRAIN)
    at = (low + high) // 2 // GRAIN * GRAIN
    return at if low < at and high - low > max(GRAIN, low // SHARE) else None


class Search:
    """All contenders of a plan on each of its problems, whose lengths are what is looked for."""

    def __init__(self, plan: Plan, most: int, folder: Path, say: Callable[[str], None]) -> None:
        self._plan, self._most, self._say = plan, most, say
        self.reports: list[DeviceReport] = []
        self._fleet = Fleet(plan.settings, folder, self.reports.append)

    def run(self) -> Iterator[Reach]:
        """One answer after the other; the workers end however this ends."""
        passes = [name for name in PASSES if name in self._plan.settings.passes]
        try:
            for problem in dict.fromkeys(at_length(each, FIRST) for each in self._plan.problems):
                for contender in self._plan.contenders:
                    known: Found | None = None
                    for name in passes:
                        known, answer = self._reach(problem, contender, name, known)
                        yield answer
                    self._fleet.drop(self._fleet.worker(contender))
        finally:
            self._fleet.stop()

    def _reach(
        self, problem: Problem, contender: Contender, name: PassName, known: Found | None
    ) -> tuple[Found, Reach]:
        def refusal(length: int) -> str:
            self._say(f"{contender.name}: {name} at T={length}")
            return self._refusal(at_length(problem, length), contender, name)

        found = search(refusal, self._most, known)
        reasons = (known.tries if known else {}) | found.tries
        return found, Reach(
            problem=at_length(problem, found.longest or min(reasons)),
            contender=contender,
            pass_name=name,
            longest=found.longest,
            refused=found.refused,
            reason=reasons[found.refused] if found.refused else "",
            tries=found.tries,
        )

    def _refusal(self, problem: Problem, contender: Contender, name: PassName) -> str:
        """Why a length does not do; empty where it does.

        On a GPU in a fresh process: XLA's pool keeps what shorter tries took, in pieces that a longer one cannot use.
        """
        if self._plan.settings.device == "gpu":
            self._fleet.drop(self._fleet.worker(contender))
        free = available_bytes() if self._plan.settings.device == "cpu" else None
        request = Fit(
            case=Case(problem=problem, contender=contender),
            pass_name=name,
            most_bytes=int(free * FREE_SHARE) if free is not None else None,
        )
        reply = self._fleet.ask(contender, request)
        if isinstance(reply, Fitted):
            return ""
        if isinstance(reply, Unsupported):
            return f"unsupported: {reply.reason}"
        return f"{reply.status}: {reply.reason}" if isinstance(reply, Failed) else f"unexpected {type(reply).__name__}"


def at_length(problem: Problem, length: int) -> Problem:
    """The problem with so many queries and keys."""
    return replace(problem, q_len=length, kv_len=length)
