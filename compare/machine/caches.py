"""The device's last-level cache: what fits into it need not be read from memory again."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
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
