"""Gaps in a window between device work, named by the ops on either side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from compare.profile.timeline import Span, Trace, iterations

FIRST, LAST = "the window's start", "the window's end"


class Gap(NamedTuple):
    """An interval without any op, and the ops before and after it."""

    before: str
    after: str
    length_ns: int


class Uncovered(msgspec.Struct, frozen=True):
    """All gaps of an iteration between the same two ops: count and total time."""

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
    """The parts of the window outside the union of the work.  Nested ops are named by the outer one."""
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
    """The gaps of every window of a trace, in time order."""
    windows = sorted(trace.windows, key=lambda window: window.start_ns)
    return [gaps(window, one.work) for window, one in zip(windows, iterations(trace), strict=True)]


def uncovered(windows: Sequence[Sequence[Gap]]) -> list[Uncovered]:
    """The gaps by pairs of ops, longest first (medians over iterations)."""
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
