"""Memory over time inside one iteration, as a record that stays small however often memory was taken and given back."""

from __future__ import annotations

from collections.abc import Sequence
from operator import gt
from typing import NamedTuple

import msgspec

from compare.bounds import Bytes, ChangeBytes, Part

MOST_POINTS = 256
FINEST = 2**12  # the first tolerance, when there are more: this part of the whole range


class Level(NamedTuple):
    """Bytes above those at the start of an iteration, from this moment on."""

    time_ns: int
    bytes: int


class MemoryCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory inside one iteration above its start: each level lasts until the next moment, the last to ``window_s``.

    ``source``: who says so.  ``changes``: how many levels there were; of those that are left out none differs from
    what stands in its place by more than ``within_bytes``.  ``reason``: why there is no curve; empty where there is.
    """

    source: str = ""
    window_s: Part = 0.0
    moments_s: tuple[Part, ...] = ()
    levels_bytes: tuple[ChangeBytes, ...] = ()
    changes: int = 0
    within_bytes: Bytes = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.moments_s) != len(self.levels_bytes):
            raise ValueError(
                f"expected a level for each of {len(self.moments_s)} moments, got {len(self.levels_bytes)}"
            )
        if any(map(gt, self.moments_s, (*self.moments_s[1:], self.window_s))):
            raise ValueError("expected moments in order and inside the window")

    @property
    def peak_bytes(self) -> int:
        """The highest level."""
        return max(self.levels_bytes, default=0)


def curve(levels: Sequence[Level], window_s: float, source: str) -> MemoryCurve:
    """The record of an iteration that begins at 0 bytes; the highest level, its first moment and the end are exact."""
    kept, within_bytes = thinned([Level(0, 0), *levels])
    return MemoryCurve(
        source=source,
        window_s=window_s,
        moments_s=tuple(min(each.time_ns / 1e9, window_s) for each in kept),
        levels_bytes=tuple(each.bytes for each in kept),
        changes=len(levels),
        within_bytes=within_bytes,
    )


def thinned(levels: Sequence[Level]) -> tuple[list[Level], int]:
    """No more than MOST_POINTS of the levels, and by how many bytes one that is left out may differ from them.

    A level is left out where the one before it that stays is that near, so every rise and fall by more is still there.
    """
    kept, within_bytes = apart(levels, 0), 0
    while len(kept) > MOST_POINTS:
        sizes = [each.bytes for each in levels]
        within_bytes = 2 * within_bytes or max(1, (max(sizes) - min(sizes)) // FINEST)
        kept = apart(levels, within_bytes)
    return kept, within_bytes


def apart(levels: Sequence[Level], within_bytes: int) -> list[Level]:
    """The first level, the first of the highest, the last, and all that are further off the one that stays before."""
    highest = max(range(len(levels)), key=lambda at: levels[at].bytes)
    kept: list[Level] = []
    for at, level in enumerate(levels):
        if at in (0, highest, len(levels) - 1) or abs(level.bytes - kept[-1].bytes) > within_bytes:
            kept.append(level)
    return kept
