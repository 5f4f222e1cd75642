"""The fake's log -> the common trace: windows, work and allocations in one clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compare.profile.timeline import Trace
from tests.fake_attn.device import DEVICE

SOURCE = "the plan of the fake"


@contextmanager
def window(label: str) -> Iterator[None]:
    """Mark one iteration; the caller synchronises inside."""
    start_ns = DEVICE.begin_window()
    yield
    DEVICE.end_window(label, start_ns)


@contextmanager
def trace(memory: bool = False, own: Path | None = None) -> Iterator[list[Trace]]:
    """Profile the block; the list holds its Trace afterwards.  ``memory`` adds allocation events.

    ``own``: where to keep the framework's own profile; the fake has none.
    """
    found: list[Trace] = []
    DEVICE.begin_trace()
    try:
        yield found
    finally:
        seen = DEVICE.end_trace()
    found.append(seen if memory else Trace(seen.windows, seen.work, []))
