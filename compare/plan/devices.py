"""Which device a run uses, found without importing a framework, and what several devices cannot do together."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from compare.backends import backend
from compare.plan import interpreters
from compare.schema.records import Contender, Device

GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
PROBE_TIMEOUT_S = 120
GPU_HINT = "for JAX install the extra: pip install '.[cuda]'; for PyTorch a CUDA build"


def has_gpu_node() -> bool:
    """Whether the system shows a GPU at all; cheap, and false on most machines without one."""
    return any(Path(node).exists() for node in GPU_NODES)


def blind_backends(contenders: Iterable[Contender]) -> list[str]:
    """The backends that cannot open a GPU, each in each interpreter tried in a process of its own, all at once."""
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        probes = {each.home: _probe(each, Path(folder)) for each in {each.home: each for each in contenders}.values()}
        return [home for home, process in probes.items() if not _succeeded(process)]


def _probe(contender: Contender, folder: Path) -> subprocess.Popen[bytes]:
    code = f"from {backend(contender.backend).package}.adapter import Adapter; Adapter('gpu', 1)"
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if contender.python:
        environment = interpreters.environment(environment, interpreters.source(folder))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([contender.python or sys.executable, "-c", code], env=environment, **quiet)  # type: ignore[call-overload,no-any-return]


def _succeeded(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(PROBE_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        return False


def choose(asked: Device | None, contenders: Sequence[Contender]) -> tuple[Device, str]:
    """The device of a run: the one asked for, else a GPU that all backends see, else the CPU; and a note on the choice.

    Raises ValueError where a GPU is asked for and a backend sees none.
    """
    if asked == "cpu" or (asked is None and not has_gpu_node()):
        return "cpu", ""
    blind = blind_backends(contenders) if has_gpu_node() else list(dict.fromkeys(each.home for each in contenders))
    if asked == "gpu" and blind:
        raise ValueError(f"--device gpu: {' and '.join(blind)} cannot open a GPU; possible: cpu ({GPU_HINT})")
    if blind:
        return "cpu", f"on the CPU, because {' and '.join(blind)} cannot open a GPU; {GPU_HINT}"
    return "gpu", ""


def cpu_threads() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MOST_SIMULATED = 16  # devices on a CPU


def check(options: argparse.Namespace, contenders: Sequence[Contender]) -> None:
    """Raises ValueError with one line."""
    if max(options.devices or (1,)) == 1:
        if options.process_per_device:
            raise ValueError("--process-per-device is for several devices; add --devices N")
        return
    if options.max_seq_len is not None:
        raise ValueError("--max-seq-len uses one device; leave --devices out")
    if options.cache == "cold":
        raise ValueError("--cache cold evicts the cache of one device; leave it or --devices out")
    names = dict.fromkeys(each.backend for each in contenders)
    if options.process_per_device and not any(backend(name).apart for name in names):
        raise ValueError(f"--process-per-device: {' and '.join(names)} always has one per device; leave it out")


def check_simulated(counts: Sequence[int]) -> None:
    """Refuse more than MOST_SIMULATED devices on a CPU."""
    if max(counts, default=1) > MOST_SIMULATED:
        raise ValueError(f"--devices {max(counts)}: a CPU simulates up to {MOST_SIMULATED}")
