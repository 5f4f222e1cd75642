"""What a window holds besides device time: the gaps, named by the ops on either side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from compare.profile.timeline import Span, Trace, iterations

FIRST, LAST = "the window's start", "the window's end"


class Gap(NamedTuple):
    """A time in which no op ran, and the ops before and after it."""

    before: str
    after: str
    length_ns: int


class Uncovered(msgspec.Struct, frozen=True):
    """All gaps of an iteration between one pair of neighbours: how many, and for how long in all."""

    before: str
    after: str
    count: int
    total_s: float

    @property
    def text(self) -> str:
        """The pair in words, with its time."""
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self._where}: {self.total_s * 1e3:.2f} ms{times}"

    @property
    def _where(self) -> str:
        if self.before == FIRST:
            return f"before the first op, {self.after} (Python, dispatch)"
        if self.after == LAST:
            return f"after the last op, {self.before} (return to Python)"
        return f"between {self.before} and {self.after}"


def gaps(window: Span, work: Iterable[Span]) -> list[Gap]:
    """Where the union of the work leaves the window uncovered; an op that holds others stands for them all."""
    found, reach, before = [], window.start_ns, FIRST
    for span in sorted(work, key=lambda each: (each.start_ns, -each.end_ns)):
        start = min(span.start_ns, window.end_ns)
        if start > reach:
            found.append(Gap(before, span.name, start - reach))
        if span.end_ns > reach:
            reach, before = span.end_ns, span.name
    if window.end_ns > reach:
        found.append(Gap(before, LAST, window.end_ns - reach))
    return found


def by_window(trace: Trace) -> list[list[Gap]]:
    """The gaps of every window of a trace, in the order of time."""
    windows = sorted(trace.windows, key=lambda window: window.start_ns)
    return [gaps(window, one.work) for window, one in zip(windows, iterations(trace), strict=True)]


def uncovered(windows: Sequence[Sequence[Gap]]) -> list[Uncovered]:
    """The gaps by pairs of neighbours, the longest in a usual iteration first (medians over the iterations)."""
    total_ns: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(windows))
    count: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(windows))
    for at, found in enumerate(windows):
        for gap in found:
            total_ns[gap.before, gap.after][at] += gap.length_ns
            count[gap.before, gap.after][at] += 1
    pairs = [
        Uncovered(*pair, count=round(median(count[pair])), total_s=median(lengths) / 1e9)
        for pair, lengths in total_ns.items()
    ]
    return sorted(pairs, key=lambda each: -each.total_s)
