"""Memory of this machine: what is free, what a process holds, and the last-level cache of the device."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compare.schema.records import Device

CPUS = Path("/sys/devices/system/cpu")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38  # CUDA driver API, CUdevice_attribute


def last_level_bytes(device: Device, cpus: Path = CPUS) -> int | None:
    """Bytes of the last level of cache; None where the system does not say."""
    return cuda_bytes() if device == "gpu" else cpu_bytes(cpus)


def cpu_bytes(folder: Path = CPUS) -> int | None:
    """The highest level of cache of the CPUs that this process may use; each shared cache counts once (Linux)."""
    found: dict[tuple[int, str], int] = {}
    for cpu in os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ():
        for index in (folder / f"cpu{cpu}" / "cache").glob("index*"):
            with suppress(OSError, ValueError, KeyError, IndexError):
                level, shared, size = (
                    (index / name).read_text().strip() for name in ("level", "shared_cpu_list", "size")
                )
                found[int(level), shared] = int(size[:-1]) * UNITS[size[-1]]
    highest = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == highest) or None


def cuda_bytes() -> int | None:
    """The L2 cache of the first CUDA device, by the driver itself: neither framework has to be asked."""
    size, device = ctypes.c_int(), ctypes.c_int()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
        failed = failed or cuda.cuDeviceGetAttribute(
            ctypes.byref(size), ctypes.c_int(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), device
        )
    except (OSError, AttributeError):
        return None
    return None if failed else size.value or None


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
