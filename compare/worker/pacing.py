"""In the worker: a stopwatch, and how long turns and blocks of rounds are."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import ceil
from time import perf_counter, perf_counter_ns

from compare.profile.timeline import union_length
from compare.schema.records import Device, Settings


class Stopwatch:
    """Collects the wall time of the blocks it is put around."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.page_faults = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Time the block."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = perf_counter()
        yield
        self.seconds.append(perf_counter() - start)
        self.page_faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


class Phases:
    """Durations that are told when they end, and of which some lie inside others."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[int, int]]] = {}

    def ended(self, phase: str, duration_s: float) -> None:
        """A stretch of a phase has just ended."""
        end_ns = perf_counter_ns()
        start_ns = end_ns - int(duration_s * 1e9)
        spans = self._spans.setdefault(phase, [])
        while spans and spans[-1][0] >= start_ns:
            spans.pop()
        spans.append((start_ns, end_ns))

    def total_s(self, phase: str, *, without: str = "") -> float:
        """Each moment of the phase once, less those in which another one ran too."""
        own, other = self._spans.get(phase, []), self._spans.get(without, [])
        return (union_length([*own, *other]) - union_length(other)) / 1e9


TURN_S: dict[Device, float] = {"cpu": 0.008, "gpu": 0.005}  # about this much of one pass in one turn,
FEWEST_PER_TURN = 2  # where its start is no sample: one call in two would be lost,
MOST_PER_TURN = 8  # and at most so many iterations of it: reading a short one back costs more than running it
BLOCK_S = 1.0  # about this much between opening the profilers and closing them,
MOST_PER_BLOCK = 40  # and at most so many rounds,
MOST_COLD_PER_BLOCK = 10  # fewer where each iteration waits for the cache to be evicted
WALL_SHARE = 1 / 3  # wall rounds for each device round

# A pass below this length finds the caches and threads that another contender left, a visible share of its time:
# the first calls of its turn are no samples.
SHORT_PASS_S = 0.05
# On a CPU the pool of another process's threads waits for work by spinning, for some milliseconds after its last call,
# on the cores that are needed now.  A GPU's queue has no such neighbours: one call is enough.
SETTLE_S: dict[Device, float] = {"cpu": 0.01, "gpu": 0.0}
MOST_SETTLING = 20  # calls: reading a short one back from the trace costs more than running it


def settling(device: Device, pass_s: float, after_other: bool) -> int:
    """How many iterations of ``pass_s`` seconds at the start of a turn are no samples.

    ``after_other``: the turn before it was another process's.
    """
    if pass_s >= SHORT_PASS_S:
        return 0  # a wait is enough where a call costs so much
    return max(1, min(MOST_SETTLING, ceil(SETTLE_S[device] / pass_s))) if after_other else 1


def per_turn(settings: Settings, pass_s: float) -> int:
    """How many iterations of a pass of ``pass_s`` seconds are samples of one turn."""
    if settings.samples or settings.cache == "cold":  # a cold turn has no start to lose, and evicting takes its time
        return 1
    fewest = FEWEST_PER_TURN if settling(settings.device, pass_s, after_other=False) else 1
    return max(fewest, min(MOST_PER_TURN, int(TURN_S[settings.device] / pass_s)))


def rounds(settings: Settings, turns: Iterable[tuple[float, int]]) -> tuple[int, int]:
    """Rounds of a block without and with the profilers, for the turns of one round: seconds of a pass, and samples."""
    round_s = sum((count + settling(settings.device, pass_s, after_other=True)) * pass_s for pass_s, count in turns)
    most = MOST_PER_BLOCK if settings.cache == "warm" else MOST_COLD_PER_BLOCK
    profiled = max(1, min(most, int(BLOCK_S / round_s)))
    return ceil(profiled * WALL_SHARE), profiled
