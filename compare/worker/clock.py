"""A stopwatch for blocks of code, which also counts the pages that the kernel hands out, and sums of nested phases."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, perf_counter_ns

from compare.profile.timeline import union_length


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
