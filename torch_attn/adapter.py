"""PyTorch behind the Adapter protocol of `compare.backends`."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._dynamo.utils import compile_times as dynamo_compile_times
from torch._subclasses.fake_tensor import FakeTensorMode

from compare.backends import Assigned, CompileTimes, Counters, DeviceFacts
from compare.schema.records import Device, Dtype, Precision

PRECISION = {"ieee": "highest", "tf32": "high", "default": "highest"}
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


class Programs:
    """The passes of one case.  Training runs on leaves that share the inputs' memory but ask for gradients."""

    def __init__(self, attention: Callable[..., Tensor], inputs: Inputs, graphs: bool = False) -> None:
        self._attention, self._inputs, self._graphs = attention, inputs, graphs
        self._leaves = tuple(each.detach().requires_grad_() for each in inputs[:3])

    def forward(self) -> Any:
        """Inference: the output alone, nothing saved."""
        with torch.no_grad():
            return self._call(*self._inputs[:3])

    def save(self) -> Any:
        """The output, which carries the graph and all that it saved."""
        return self._call(*self._leaves)

    def _call(self, *arrays: Tensor) -> Tensor:
        if self._graphs:  # what an earlier replay returned may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self._attention(*arrays)

    def backward(self, saved: Any) -> Any:
        """(dQ, dK, dV); the graph in ``saved`` is used up."""
        found = torch.autograd.grad(saved, self._leaves, self._inputs[3])
        return tuple(each.contiguous() for each in found)

    def step(self) -> Any:
        """(out, dQ, dK, dV)."""
        out = self.save()
        return out.detach(), *self.backward(out)

    def assigned(self, program: str) -> Assigned | None:
        """What CUDA graphs hold, for all passes together; elsewhere None: Kineto's allocation events tell."""
        if not self._graphs:
            return None
        untold = "a CUDA graph holds its pool whether it runs or not"
        return Assigned(_graph_bytes(), "the CUDA graphs' pool, all passes together", untold=untold)

    def saved_bytes(self, saved: Any) -> int | None:
        """None: Kineto's allocation events tell, on every device."""
        return None

    def fused_attention(self, program: str) -> str | None:
        """None: the names of the kernels tell."""
        return None

    def contents(self, program: str) -> dict[str, tuple[str, ...]]:
        """Empty: the names of the kernels tell."""
        return {}


class _LaidOut(torch.autograd.Function):
    """Nothing, but that the gradient lies in memory as its tensor does; a compiled program can fuse the copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The tensor."""
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Its gradient, copied where it lies otherwise."""
        return gradients[0].contiguous()


class Adapter:
    """PyTorch on one device."""

    def __init__(self, device: Device, threads: int) -> None:
        """``threads`` sizes the intra-op pool, beside the worker's CPU affinity."""
        self._device = torch.device("cuda" if device == "gpu" else "cpu")
        torch.set_num_threads(threads)
        torch._dynamo.config.fail_on_recompile_limit_hit = True  # and not run as eager under the name of compile
        if device == "gpu":
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
            torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        else:
            self._name_inductor_kernels()
        self.block(torch.zeros(1, device=self._device) + 1)

    def _name_inductor_kernels(self) -> None:
        """Without this Inductor's C++ kernels leave no event in the profile, and a third of the time goes missing."""
        import torch._inductor.config as inductor

        inductor.cpp.enable_kernel_profile = True

    def facts(self) -> DeviceFacts:
        """Name and size of the device, versions, flags."""
        versions = {"torch": str(torch.__version__), "cuda": str(torch.version.cuda)}
        flags = {
            "matmul precision": "set per problem: ieee and default=highest, tf32=high",
            "reduced-precision accumulation": "off",
            "threads": str(torch.get_num_threads()),
        }
        if self._device.type == "cpu":
            return DeviceFacts("", 0, versions, flags, _missing_modes())
        properties = torch.cuda.get_device_properties(self._device)
        return DeviceFacts(properties.name, properties.total_memory, versions, flags, {})

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Tensor:
        """The array on the device, in its dtype."""
        return torch.from_numpy(array).to(self._device, getattr(torch, dtype))

    def outline(self, shape: tuple[int, ...], dtype: Dtype, trained: bool) -> Any:
        """What looks like an array on the device, and like one that is trained, and takes no memory."""
        with FakeTensorMode():
            return torch.empty(shape, dtype=getattr(torch, dtype), device=self._device, requires_grad=trained)

    def numpy(self, array: Tensor) -> NDArray[np.float32]:
        """A device array as float32 on the host."""
        result: NDArray[np.float32] = array.detach().to("cpu", torch.float32).numpy()
        return result

    def programs(self, attention: Callable[..., Tensor], mode: str, inputs: Inputs, precision: Precision) -> Programs:
        """The passes of a case; ``compile`` is torch.compile as it comes, ``graph`` is that with CUDA graphs."""
        torch.set_float32_matmul_precision(PRECISION[precision])

        def laid_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attention(q, k, v).contiguous()  # in the inputs' layout, as XLA's results lie: no view is left over

        def with_gradients_laid_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return laid_out(*(_LaidOut.apply(each) for each in (q, k, v)))

        if mode == "eager":
            return Programs(laid_out, inputs)
        own = _with_own_code(with_gradients_laid_out)
        compiled = torch.compile(own, mode="reduce-overhead" if mode == "graph" else None)
        return Programs(compiled, inputs, graphs=mode == "graph")

    def doubled(self, array: Tensor) -> Tensor:
        """Twice the array, as a new one: known bytes are read and as many written."""
        return array * 2

    def matmul(self, a: Tensor, b: Tensor, precision: Precision) -> Tensor:
        """The product of two matrices: known FLOPs."""
        torch.set_float32_matmul_precision(PRECISION[precision])
        return a @ b

    def block(self, value: Any) -> Any:
        """Wait until everything in ``value`` is computed; returns it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return value

    def compile_times(self) -> CompileTimes:
        """Total trace (Dynamo) and compile (AOTAutograd, Inductor) time of this process so far."""
        names, values = dynamo_compile_times(repr="csv", aggregate=True)
        total = dict(zip(names, (float(str(value)) for value in values), strict=True))
        compiled = total.get("OutputGraph.call_user_compiler", 0.0)
        traced = total.get("_compile.compile_inner", 0.0) - compiled
        return CompileTimes(traced, compiled + total.get("backward._backward_impl", 0.0))

    def counters(self) -> Counters | None:
        """The CUDA allocator's counters; the CPU allocator keeps none."""
        if self._device.type == "cpu":
            return None
        cuda = torch.cuda
        return Counters(cuda.memory_allocated(), cuda.max_memory_allocated(), cuda.memory_reserved())

    def reset_peak(self) -> None:
        """Start the highest-so-far anew."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def refused_bytes(self, error: BaseException) -> int | None:
        """Bytes that an out-of-memory error refused (0 if it does not say); None if it is no such error."""
        text = str(error)
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and not re.search(r"can't allocate memory|CUDA error: out of memory|STATUS_ALLOC_FAILED", text):
            return None
        asked = re.search(r"allocate ([\d.]+) (bytes|KiB|MiB|GiB|TiB)", text)
        return int(float(asked[1]) * UNITS[asked[2]]) if asked else 0

    def keep_programs(self, keep: bool) -> None:
        """Nothing: Inductor's cache keeps whole programs from the start, in the folder of the run."""

    def release(self) -> None:
        """Forget compiled programs, so that the next shape is compiled alone, and give the cached memory back."""
        torch._dynamo.reset()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _with_own_code(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function: Dynamo keeps and limits what it compiles by code object, which closures share."""
    assert isinstance(function, FunctionType)
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)


def _graph_bytes() -> int:
    """Memory of the pools that CUDA graphs allocate from, which is theirs as long as they live."""
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    return sum(each["total_size"] for each in segments if tuple(each["segment_pool_id"]) != (0, 0))


def _missing_modes() -> dict[str, str]:
    """On a CPU torch.compile writes C++ and needs a compiler for it, and there are no CUDA graphs."""
    graph = {"graph": "CUDA graphs need a GPU"}
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        missing = "torch.compile on a CPU needs a C++ compiler, and none was found (install g++ or set CXX)"
        return graph | {"compile": missing}
    return graph
