"""Resident memory of this process, from Linux's /proc: what is free, and by how much a block of code grows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROBE_FROM_BYTES = 16 * 10**6  # below this, thread stacks and page rounding are a large share of what is measured


def _field_bytes(path: str, field: str) -> int | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), None)


def available_bytes() -> int | None:
    """Memory that a new process can still get without swapping, the control group's limit included; None if unknown."""
    free = _field_bytes("/proc/meminfo", "MemAvailable")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free or int(limit), int(limit) - used) if limit.isdecimal() else free


def of_process(pid: int) -> int:
    """Resident memory of another process; 0 where it is gone or the system does not say."""
    return _field_bytes(f"/proc/{pid}/status", "VmRSS") or 0


def with_descendants(pid: int) -> list[int]:
    """A process and all that it and its children started; it alone where the system does not say."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += with_descendants(int(child))
    return found


def data_bytes() -> int | None:
    """Private writable memory of this process, touched or not: what RLIMIT_DATA limits; None if unknown."""
    return _field_bytes("/proc/self/status", "VmData")


def total_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def can_measure() -> bool:
    """Whether this system lets a process reset its own high-water mark."""
    return os.access("/proc/self/clear_refs", os.W_OK)


class ResidentGrowth:
    """The high-water mark of resident memory inside a block, above its level before."""

    peak_bytes: int = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Measure the block."""
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM: proc(5)
        before = _field_bytes("/proc/self/status", "VmRSS") or 0
        yield
        after = _field_bytes("/proc/self/status", "VmHWM") or 0
        self.peak_bytes = max(0, after - before)
