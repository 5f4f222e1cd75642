"""Interference and throttling while a case was sampled: other load on the CPUs, and the GPU's clock."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from compare.schema.records import Conditions, Device, Notice

OTHERS = 0.05  # of all CPUs: more than the system's own housekeeping
BUSY = 0.25  # of all CPUs: frameworks share the rest unevenly, so even a clear speedup may be interference
BUSY_MACHINE = "busy-machine"  # the notice that withholds verdicts (compare.stats.estimates)
STEAL = 0.01
LEAST_TICKS = 100  # a second of one CPU: below, the ticks are too coarse for a share
CLOCK_CHANGE = 0.05
IDLE, IO_WAIT, STEAL_FIELD = 3, 4, 7  # fields of the first line of /proc/stat, proc(5)
# Bits of NVML's clock event reasons that slow a GPU down (nvml.h); idle and set clocks do not.
THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal, by software",
    0x40: "thermal, by hardware",
    0x80: "power brake",
}


class GpuUse(NamedTuple):
    """Share of the last moment in which a GPU ran a kernel, and the processes that have it open, with their bytes."""

    busy_share: float
    processes: int
    held_bytes: int


class Ticks(NamedTuple):
    """Clock ticks of all CPUs since the machine started, and of our processes since they did."""

    total: int
    idle: int
    stolen: int
    ours: int


class Watch:
    """Looks at the machine between rounds."""

    def __init__(self, device: Device) -> None:
        self._gpu = Gpu() if device == "gpu" else None
        self._before: Ticks | None = None
        self._pids: frozenset[int] = frozenset()
        self._clocks_mhz: list[int] = []
        self._throttles: set[str] = set()

    def start(self, pids: Iterable[int]) -> None:
        """Sampling begins; ``pids`` are the workers."""
        self._pids = frozenset(pids)
        self._before = ticks(self._pids)

    def look(self) -> None:
        """Between two rounds."""
        if self._gpu:
            self._clocks_mhz += self._gpu.clock_mhz()
            self._throttles |= self._gpu.throttles()

    def conditions(self, pids: Iterable[int]) -> Conditions:
        """Conditions since the start; other load is unknown once a worker was replaced."""
        others, stolen = shares(self._before, ticks(pids))
        known = others if frozenset(pids) == self._pids else None
        clocks = self._clocks_mhz
        return Conditions(
            others_share=known,
            busy=self._gpu is None and (known or 0) > BUSY,
            stolen_share=stolen,
            clock_min_mhz=min(clocks, default=None),
            clock_max_mhz=max(clocks, default=None),
            throttles=tuple(sorted(self._throttles)),
        )


def notices(found: Conditions) -> tuple[Notice, ...]:
    """The warnings about other load, clock changes and throttling."""
    notes = []
    if (found.others_share or 0) > OTHERS:
        code = BUSY_MACHINE if found.busy else "other-load"
        notes.append(Notice(code=code, numbers={"others_share": found.others_share or 0.0}))
    if (found.stolen_share or 0) > STEAL:
        notes.append(Notice(code="stolen-time", numbers={"stolen_share": found.stolen_share or 0.0}))
    low, high = found.clock_min_mhz, found.clock_max_mhz
    if low and high and low < high * (1 - CLOCK_CHANGE):
        notes.append(Notice(code="clock-change", numbers={"low_mhz": low, "high_mhz": high}))
    if found.throttles:
        notes.append(Notice(code="throttled", names=found.throttles))
    return tuple(notes)


def shares(before: Ticks | None, after: Ticks | None) -> tuple[float | None, float | None]:
    """Of all CPU time between two moments: what other processes used, and what other machines were given."""
    if not before or not after or after.total - before.total < LEAST_TICKS:
        return None, None
    total, stolen = after.total - before.total, max(0, after.stolen - before.stolen)
    busy = total - (after.idle - before.idle) - stolen
    return max(0, busy - (after.ours - before.ours)) / total, stolen / total


def ticks(pids: Iterable[int]) -> Ticks | None:
    """Current ticks; None where /proc/stat is missing."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    ours = sum(_own_ticks(pid) for pid in (os.getpid(), *pids))
    return Ticks(sum(fields), fields[IDLE] + fields[IO_WAIT], fields[STEAL_FIELD], ours)


def _own_ticks(pid: int) -> int:
    """User and system time of a process and of its children that have ended; 0 where it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in after_name[11:15])


class Gpu:
    """The first GPU that the workers see, through NVML where its Python binding is installed."""

    def __init__(self) -> None:
        self._nvml, self._handle = _open()

    def use(self) -> GpuUse | None:
        """Current use; None without NVML."""
        if not self._nvml:
            return None
        with suppress(self._nvml.NVMLError):
            share = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
            return GpuUse(share, len(running), sum(each.usedGpuMemory or 0 for each in running))
        return None

    def clock_mhz(self) -> list[int]:
        """The clock of its multiprocessors; empty without NVML."""
        if not self._nvml:
            return []
        with suppress(self._nvml.NVMLError):  # a GPU that does not tell its clock
            return [int(self._nvml.nvmlDeviceGetClockInfo(self._handle, self._nvml.NVML_CLOCK_SM))]
        return []

    def throttles(self) -> set[str]:
        """The current reasons for throttling."""
        if not self._nvml:
            return set()
        with suppress(self._nvml.NVMLError):
            reasons = self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle)
            return {name for bit, name in THROTTLES.items() if reasons & bit}
        return set()


def _open() -> tuple[Any, Any]:
    try:
        pynvml: Any = import_module("pynvml")
    except ImportError:
        return None, None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    try:
        pynvml.nvmlInit()
        if visible.isdecimal():
            return pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(visible)
    except pynvml.NVMLError:
        return None, None
