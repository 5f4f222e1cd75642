"""The environment of a worker: what fairness needs set, and a record of all that could change a result."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from compare import variants as own_kernel
from compare.backends import BACKENDS
from compare.schema.records import Malloc, Settings

HUGE_PAGES = "glibc.malloc.hugetlb=1"  # where the kernel gives them to those who ask (madvise)
# glibc gives large blocks back to the kernel at once, so that a benchmark on a CPU times page faults; with these it
# keeps them, in huge pages: which small ones a process happens to get shifts its times for as long as it lives.
# docs/method.md has the measured differences.
RECYCLE = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_MMAP_MAX_": "0",  # a glibc that finds the threshold too large ignores it
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
    "GLIBC_TUNABLES": HUGE_PAGES,
}
# For reading resident memory: every block of some size is mapped by itself and goes back when it is freed.  Huge pages
# where the kernel gives them, so that most of the probe is not spent on page faults.
GIVE_BACK = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**17),
    "GLIBC_TUNABLES": HUGE_PAGES,
}

# These would overrule the matmul precision, the mode or the devices of a run, so workers do not inherit them.
OVERRIDES = (
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCHDYNAMO_DISABLE",
    "TORCH_COMPILE_DISABLE",
    "JAX_DISABLE_JIT",
    "JAX_NUM_CPU_DEVICES",
)
TORCHRUN = "PET_"  # begin the defaults of torchrun's options, as a cluster sets them for a launch of its own

# Names of variables that change what JAX, PyTorch, their libraries, the allocator or the loader do.
RELEVANT = re.compile(
    r"(JAX|XLA|TF_CPP|TF_GPU|TF_XLA|TF_CUDNN|TORCH|TORCHINDUCTOR|TORCHDYNAMO|PYTORCH|TRITON|CUDA|NCCL|CUBLAS|CUDNN|OMP|KMP|GOMP|MKL|ONEDNN|DNNL|OPENBLAS|"
    r"MALLOC|ATEN|LD|PYTHON)_\w+|CC|CXX|NPROC|GLIBC_TUNABLES|NVIDIA_TF32_OVERRIDE|NVIDIA_VISIBLE_DEVICES"
)
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD", re.IGNORECASE)


def inherited() -> dict[str, str]:
    """What workers take over from the program's own environment."""
    return {
        name: value for name, value in os.environ.items() if name not in OVERRIDES and not name.startswith(TORCHRUN)
    }


def fair(settings: Settings, cache: Path) -> dict[str, str]:
    """What every worker gets: no preallocation, the run's own compile caches, the same threads and malloc."""
    variables = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": ".95",  # PyTorch may take all of it too
        # The cache folder makes XLA keep its autotuning choices for the run, so that the passes of a case use the same
        # kernels; programs themselves are always recompiled (no compilation is long enough to be cached).
        "JAX_COMPILATION_CACHE_DIR": str(cache / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9",
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "OMP_NUM_THREADS": str(settings.threads),
        "JAX_PLATFORMS": "cpu" if settings.device == "cpu" else os.environ.get("JAX_PLATFORMS", ""),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if settings.device == "cpu":
        variables |= allocator(settings.malloc) | {"CUDA_VISIBLE_DEVICES": ""}
    return {name: value for name, value in variables.items() if value or name == "CUDA_VISIBLE_DEVICES"}


def of_devices(settings: Settings, devices: int, launched: bool) -> dict[str, str]:
    """What workers of several devices get beside it: threads for each process, and on a CPU its simulated devices."""
    variables = {"OMP_NUM_THREADS": str(max(1, settings.threads // devices))} if launched else {}
    if settings.device == "cpu":
        simulated = f"--xla_force_host_platform_device_count={1 if launched else devices}"
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {simulated}".strip()
    return variables


def allocator(malloc: Malloc) -> dict[str, str]:
    """The malloc settings of a CPU worker."""
    return RECYCLE if malloc == "recycle" else {}


def relevant(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that can change a result, without anything that looks like a secret; of a compiler its name."""
    return {
        name: printable(Path(value).name if name in ("CC", "CXX") else value)
        for name, value in sorted(environment.items())
        if RELEVANT.fullmatch(name) and not SECRET.search(name)
    }


def printable(text: str) -> str:
    """The text with bytes that are not UTF-8 spelled out, as they come in arguments and variables."""
    return text.encode(errors="backslashreplace").decode()


def code(variants: Iterable[str]) -> str:
    """A digest of the program's source, and of the files of the user's own functions among the variants."""
    here = Path(__file__).parents[2]
    packages = ("compare", *(entry.package.replace(".", "/") for entry in BACKENDS.values()))
    files = [path for package in packages for path in sorted((here / package).rglob("*.py"))]
    files += [own_kernel.file_of(each) for each in sorted(set(variants)) if own_kernel.is_own(each)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def host() -> dict[str, str]:
    """The machine: processor, cores, system, Python, C library."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
