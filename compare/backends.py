"""The frameworks, as names: what each is called, what it needs, and what its package must offer.

Rules: nothing here or anywhere in `compare` outside the worker process imports a framework.  A framework is one entry
of BACKENDS and one package with ``adapter.py`` (class Adapter), ``profiler.py`` (function trace) and ``variants/``; a
variant is one file there with a function ``attention``.  CONTRIBUTING.md has both recipes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from compare.profile.timeline import Trace
from compare.schema.records import Device, Dtype, Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Backend(NamedTuple):
    """One framework: its name in sentences, its package, what it needs, its modes, how to install it.

    ``modes``: the default first.  ``gpu_modes``: those that need a GPU.  ``launcher``: the module that starts a process
    for each device where several share a sequence, and its words before their number; without one a process has them
    all.  ``apart``: a launcher likewise, where a process can have them all, and has unless this is asked for.
    """

    title: str
    package: str
    requires: tuple[str, ...]
    modes: tuple[str, ...]
    default_modes: tuple[str, ...]
    install: str
    gpu_modes: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    def launched(self, process_per_device: bool) -> tuple[str, ...]:
        """The launcher, where each of several devices has a process of its own; else nothing."""
        return self.apart if process_per_device and self.apart else self.launcher


BACKENDS: dict[str, Backend] = {
    "jax": Backend(
        "JAX", "jax_attn", ("jax", "jaxlib"), ("jit",), ("jit",), "pip install jax jaxlib", apart=("jax_attn.launcher",)
    ),
    "torch": Backend(
        "PyTorch",
        "torch_attn",
        ("torch",),
        ("eager", "compile", "graph"),
        ("eager", "compile"),
        "pip install torch",
        gpu_modes=("graph",),
        launcher=("torch.distributed.run", "--standalone", "--nproc-per-node"),
    ),
}


class DeviceFacts(NamedTuple):
    """What an adapter says: device name and bytes (empty, 0 on a CPU), versions, flags, modes that cannot run."""

    name: str
    total_bytes: int
    versions: dict[str, str]
    flags: dict[str, str]
    missing_modes: dict[str, str]


class CompileTimes(NamedTuple):
    """Seconds spent so far in this process on tracing and lowering, and on compiling."""

    trace_s: float
    compile_s: float


class Counters(NamedTuple):
    """The allocator's own counters in bytes: in use now, the highest so far, and held from the device."""

    in_use_bytes: int
    peak_bytes: int
    held_bytes: int


class Buffer(NamedTuple):
    """A slice of a block of planned memory: the op that writes it, the ops that read it, whether it is a result."""

    block: int
    start_bytes: int
    end_bytes: int
    writer: str
    readers: tuple[str, ...]
    result: bool


class Assigned(NamedTuple):
    """Peak in bytes of a program whose memory is planned ahead, and who says so.

    ``buffers``: what the plan is for; where there are none, ``untold`` says why.
    """

    peak_bytes: int
    source: str
    buffers: tuple[Buffer, ...] = ()
    untold: str = ""


class Programs(Protocol):
    """The passes of one case on device arrays, as the framework runs them in one mode; results are not awaited."""

    def forward(self) -> Any:
        """Inference: the output alone, nothing saved."""

    def save(self) -> Any:
        """The forward half of training: what `backward` takes."""

    def backward(self, saved: Any) -> Any:
        """(dQ, dK, dV) from what `save` gave, which is used up."""

    def step(self) -> Any:
        """(out, dQ, dK, dV) as one program."""

    def assigned(self, program: str) -> Assigned | None:
        """Memory that is planned and not allocated as it runs; None where the profiler sees allocations instead."""

    def saved_bytes(self, saved: Any) -> int | None:
        """Distinct buffers in ``saved`` that alias neither inputs nor output; None where allocation events tell."""

    def fused_attention(self, program: str) -> str | None:
        """The op of the optimised program that holds all of attention; None where there is none, or kernels tell."""

    def contents(self, program: str) -> dict[str, tuple[str, ...]]:
        """The operations inside each op of the optimised program, by its name; empty where the names themselves tell.

        Matrix products stand as often as they occur, everything else once; a library's call by what it calls.
        """


class Adapter(Protocol):
    """One framework on one device, in this process."""

    def __init__(self, device: Device, threads: int) -> None: ...

    def facts(self) -> DeviceFacts:
        """Name and size of the device, versions, flags."""

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Any:
        """The array on the device, in its dtype."""

    def outline(self, shape: tuple[int, ...], dtype: Dtype, trained: bool) -> Any:
        """What looks like an array on the device, and like one that is trained, and takes no memory."""

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """A device array as float32 on the host."""

    def programs(
        self,
        attention: Callable[..., Any],
        mode: str,
        inputs: tuple[Any, Any, Any, Any],
        precision: Precision,
    ) -> Programs:
        """The passes of a case; ``inputs`` are q, k, v and dO on the device."""

    def doubled(self, array: Any) -> Any:
        """Twice the array, as a new one: known bytes are read and as many written."""

    def matmul(self, a: Any, b: Any, precision: Precision) -> Any:
        """The product of two matrices: known FLOPs."""

    def block(self, value: Any) -> Any:
        """Wait until everything in ``value`` is computed; returns it."""

    def compile_times(self) -> CompileTimes:
        """Total trace and compile time of this process so far."""

    def counters(self) -> Counters | None:
        """The allocator's counters; None where the framework keeps none."""

    def reset_peak(self) -> None:
        """Start the highest-so-far anew, where the framework can."""

    def refused_bytes(self, error: BaseException) -> int | None:
        """Bytes that an out-of-memory error refused (0 if it does not say); None if it is no such error."""

    def keep_programs(self, keep: bool) -> None:
        """Have the compile cache keep whole programs, or, as it is at first, no more than tuning choices."""

    def release(self) -> None:
        """Forget compiled programs and give back what memory can be given back."""


TraceFactory = Callable[..., AbstractContextManager[list[Trace]]]


class UnknownName(ValueError):
    """A backend, variant or mode that does not exist; the text says which do."""


def backend(name: str) -> Backend:
    """The registry entry of a backend."""
    if name not in BACKENDS:
        raise UnknownName(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    return BACKENDS[name]


def missing_modules(name: str) -> list[str]:
    """The modules that the backend needs and this Python does not have."""
    return [module for module in backend(name).requires if find_spec(module) is None]
