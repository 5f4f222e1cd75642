"""JAX behind the Adapter protocol of `compare.backends`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from compare.backends import Assigned, CompileTimes, Counters, DeviceFacts
from compare.schema.records import Device, Dtype, Precision
from compare.worker.pacing import Phases
from jax_attn import buffers, hlo

PRECISION = {"ieee": "highest", "tf32": "tensorfloat32", "default": None}
TRACE_EVENTS = ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration")
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
KEPT_FROM = "jax_persistent_cache_min_compile_time_secs"
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

Inputs = tuple[Array, Array, Array, Array]


class Programs:
    """The passes of one case, each its own jitted function."""

    def __init__(self, client: Any, attention: Callable[..., Array], inputs: Inputs) -> None:
        def forward(q: Array, k: Array, v: Array) -> Array:
            return attention(q, k, v)

        def save(q: Array, k: Array, v: Array) -> Any:
            return jax.vjp(attention, q, k, v)

        def backward(vjp: Any, do: Array) -> Any:
            return vjp(do)

        def step(q: Array, k: Array, v: Array, do: Array) -> Any:
            out, vjp = jax.vjp(attention, q, k, v)
            return out, *vjp(do)

        self._client, self._inputs = client, inputs
        self._jitted = {f.__name__: jax.jit(f) for f in (forward, save, backward, step)}
        self._executables: dict[str, Any] = {}

    def _run(self, program: str, *arguments: Any) -> Any:
        if program in self._executables:
            return self._jitted[program](*arguments)
        known = self._client.live_executables()
        result = self._jitted[program](*arguments)
        new = [each for each in self._client.live_executables() if each not in known]
        name = f"jit_{program}"
        self._executables[program] = next((each for each in new if each.hlo_modules()[0].name == name), None)
        return result

    def forward(self) -> Any:
        """Inference: the output alone."""
        return self._run("forward", *self._inputs[:3])

    def save(self) -> Any:
        """(out, vjp): the residuals travel in the vjp function, which is a pytree."""
        return self._run("save", *self._inputs[:3])

    def backward(self, saved: Any) -> Any:
        """(dQ, dK, dV)."""
        return self._run("backward", saved[1], self._inputs[3])

    def step(self) -> Any:
        """(out, dQ, dK, dV) as one program."""
        return self._run("step", *self._inputs)

    def assigned(self, program: str) -> Assigned | None:
        """Output and scratch by XLA's buffer assignment; on a CPU only, elsewhere the trace has allocation events."""
        executable = self._executables.get(program)
        if executable is None or self._client.platform != "cpu":
            return None
        stats = executable.get_compiled_memory_stats()
        peak = stats.output_size_in_bytes + stats.temp_size_in_bytes - stats.alias_size_in_bytes
        try:
            planned = buffers.of(executable)
        except NotImplementedError as error:
            return Assigned(int(peak), "XLA buffer assignment", untold=str(error))
        return Assigned(int(peak), "XLA buffer assignment", planned)

    def saved_bytes(self, saved: Any) -> int | None:
        """Bytes of the distinct residual buffers, less those that are an input or the output."""
        out, vjp = saved
        first = [each.addressable_shards[0].data for each in jax.tree.leaves(vjp)]  # of one device among several
        owned = {each.unsafe_buffer_pointer(): each.nbytes for each in first}
        aliased = {each.addressable_shards[0].data.unsafe_buffer_pointer() for each in (*self._inputs, out)}
        return int(sum(size for pointer, size in owned.items() if pointer not in aliased))

    def fused_attention(self, program: str) -> str | None:
        """The computation of the optimised program that holds both products and the exponential, or cuDNN's call."""
        executable = self._executables.get(program)
        if executable is None:
            return None
        text = executable.hlo_modules()[0].to_string()
        if "__cudnn$fmha" in text:
            return "cuDNN fused attention"
        loops = re.findall(r" body=(%[\w.-]+)", text)  # a layer of a stack, not one op
        for computation in re.split(r"\n(?=%|ENTRY)", text):
            products, exponential = len(re.findall(r" dot\(", computation)), " exponential(" in computation
            if products > 1 and exponential and computation.split(" ")[0] not in ("ENTRY", *loops):
                return computation.split(" ")[0]
        return None

    def contents(self, program: str) -> dict[str, tuple[str, ...]]:
        """The HLO operations inside each op of the optimised program: XLA's names tell little of them."""
        executable = self._executables.get(program)
        return {} if executable is None else hlo.contents(executable.hlo_modules()[0].to_string())


class Adapter:
    """JAX on one device."""

    def __init__(self, device: Device, threads: int) -> None:
        """``threads`` is enforced by the worker's CPU affinity, which XLA's thread pools follow."""
        self._device = jax.local_devices(backend=device)[0]
        jax.config.update("jax_default_device", self._device)  # type: ignore[no-untyped-call]
        self._phases = Phases()
        self._least_kept_s: float = getattr(jax.config, KEPT_FROM)
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        self.block(jnp.zeros(1) + 1)

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event in TRACE_EVENTS or event == COMPILE_EVENT:
            self._phases.ended("compile" if event == COMPILE_EVENT else "trace", duration_secs)

    def facts(self) -> DeviceFacts:
        """Name and size of the device, versions, flags."""
        stats = self._device.memory_stats() or {}
        flags = {
            "matmul precision": "set per problem: ieee=highest, tf32=tensorfloat32, default=None",
            "compilation cache": "autotuning choices only",
        }
        versions = {"jax": jax.__version__, "jaxlib": version("jaxlib")}
        if self._device.platform == "cpu":
            return DeviceFacts("", 0, versions, flags, {})
        versions["platform"] = self._device.client.platform_version.splitlines()[-1].strip()
        return DeviceFacts(self._device.device_kind, int(stats.get("bytes_limit", 0)), versions, flags, {})

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Array:
        """The array on the device, in its dtype."""
        placed: Array = jax.device_put(jnp.asarray(array, dtype=dtype), self._device)
        return placed

    def outline(self, shape: tuple[int, ...], dtype: Dtype, trained: bool) -> Any:
        """What looks like an array on the device and takes no memory; JAX trains every array alike."""
        return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))  # type: ignore[no-untyped-call]

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """A device array as float32 on the host."""
        return np.asarray(array.astype(jnp.float32))

    def programs(self, attention: Callable[..., Array], mode: str, inputs: Inputs, precision: Precision) -> Programs:
        """The passes of a case; the only mode is ``jit``."""
        jax.config.update("jax_default_matmul_precision", PRECISION[precision])  # type: ignore[no-untyped-call]
        return Programs(self._device.client, attention, inputs)

    def doubled(self, array: Array) -> Array:
        """Twice the array, as a new one: known bytes are read and as many written."""
        result: Array = _doubled(array)
        return result

    def matmul(self, a: Array, b: Array, precision: Precision) -> Array:
        """The product of two matrices: known FLOPs."""
        result: Array = _matmul(a, b, precision=PRECISION[precision])
        return result

    def block(self, value: Any) -> Any:
        """Wait until everything in ``value`` is computed; returns it."""
        return jax.block_until_ready(value)  # type: ignore[no-untyped-call]

    def compile_times(self) -> CompileTimes:
        """Total trace and compile time of this process so far; tracing holds traces, and programs that it tries out."""
        return CompileTimes(self._phases.total_s("trace", without="compile"), self._phases.total_s("compile"))

    def counters(self) -> Counters | None:
        """The allocator's counters; the CPU backend keeps none."""
        stats = self._device.memory_stats()
        if not stats:
            return None
        return Counters(stats["bytes_in_use"], stats["peak_bytes_in_use"], stats.get("pool_bytes", 0))

    def reset_peak(self) -> None:
        """Nothing: XLA's highest-so-far only grows over a process's life."""

    def refused_bytes(self, error: BaseException) -> int | None:
        """Bytes that an out-of-memory error refused (0 if it does not say); None if it is no such error."""
        text = str(error)
        exhausted = "RESOURCE_EXHAUSTED" in text and "hared memory" not in text  # a kernel's, not the device's
        named = exhausted or re.search(r"[Oo]ut of memory", text)
        if not isinstance(error, MemoryError) and not named:
            return None
        asked = re.search(r"allocat\w*(?: request)?(?: for)? ([\d.]+)\s*(B|KiB|MiB|GiB|TiB|bytes)?\b", text)
        return int(float(asked[1]) * UNITS.get(asked[2], 1)) if asked else 0

    def keep_programs(self, keep: bool) -> None:
        """Have the compile cache keep whole programs, or no more than tuning choices."""
        least_s = 0.0 if keep else self._least_kept_s
        jax.config.update(KEPT_FROM, least_s)  # type: ignore[no-untyped-call]

    def release(self) -> None:
        """Forget compiled programs; XLA's pool keeps the memory until the process ends."""
        jax.clear_caches()  # type: ignore[no-untyped-call]


@jax.jit
def _doubled(array: Array) -> Array:
    return array * 2


@partial(jax.jit, static_argnames="precision")
def _matmul(a: Array, b: Array, precision: str | None) -> Array:
    return jnp.matmul(a, b, precision=precision)
