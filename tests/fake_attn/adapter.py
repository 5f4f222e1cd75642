"""NumPy behind the Adapter protocol of `compare.backends`: the smallest whole backend, template for a new one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.backends import Assigned, CompileTimes, Counters, DeviceFacts
from compare.schema.records import Device, Dtype, Precision
from tests.fake_attn.device import DEVICE, Array, Node, OutOfMemory

WORKERS = "FAKE_WORKERS"  # names a folder in which each worker leaves a file with its process id as the name
SLOW_START = "FAKE_SLOW_START"  # seconds that opening the device takes
TOTAL_BYTES = 16 * 10**9

PARTS = {"forward": ("forward",), "backward": ("backward",), "step": ("forward", "backward")}
CONTENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "forward": {"scores": ("dot",), "output": ("dot",)},
    "backward": {"probability gradients": ("dot", "multiply", "reduce", "negate"), "input gradients": ("dot", "dot")},
}

Inputs = tuple[Array, Array, Array, Array]


class Programs:
    """The passes of one case."""

    def __init__(self, attention: Callable[..., Node], inputs: Inputs) -> None:
        self._attention, self._inputs = attention, inputs

    def forward(self) -> Array:
        """Inference: the output alone, nothing saved."""
        node = self.save()
        DEVICE.free(node.saved_bytes)
        return node.out

    def save(self) -> Node:
        """The output with what its gradients need."""
        return self._attention(*self._inputs[:3])

    def backward(self, saved: Node) -> tuple[Array, Array, Array]:
        """(dQ, dK, dV); what was saved is given back."""
        gradients = saved.gradients(self._inputs[3])
        DEVICE.free(saved.saved_bytes)
        return gradients

    def step(self) -> tuple[Array, Array, Array, Array]:
        """(out, dQ, dK, dV)."""
        node = self.save()
        return node.out, *self.backward(node)

    def assigned(self, program: str) -> Assigned | None:
        """None: the fake's allocation events tell."""
        return None

    def saved_bytes(self, saved: Any) -> int | None:
        """None: the fake's allocation events tell."""
        return None

    def fused_attention(self, program: str) -> str | None:
        """None: the names of the kernels tell."""
        return None

    def contents(self, program: str) -> dict[str, tuple[str, ...]]:
        """What the planned kernels compute, where their names do not tell; a compiler's program would be read here."""
        return {name: inside for part in PARTS[program] for name, inside in CONTENTS[part].items()}


class Adapter:
    """NumPy on its one device."""

    def __init__(self, device: Device, threads: int) -> None:
        """A real backend opens the device here and runs something on it."""
        self._device = device
        if folder := os.environ.get(WORKERS):
            (Path(folder) / str(os.getpid())).touch()
        time.sleep(float(os.environ.get(SLOW_START, "0")))

    def facts(self) -> DeviceFacts:
        """Name and size of the device, versions, flags."""
        total_bytes = TOTAL_BYTES if self._device == "gpu" else 0
        return DeviceFacts(f"fake {self._device}", total_bytes, {"numpy": np.__version__}, {"clock": "planned"}, {})

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Array:
        """The array on the device, in its dtype."""
        if dtype == "bfloat16":
            raise NotImplementedError("needs float32 or float16, got bfloat16")
        return array.astype(dtype)

    def outline(self, shape: tuple[int, ...], dtype: Dtype, trained: bool) -> Array:
        """What looks like an array on the device and takes no memory."""
        return np.broadcast_to(np.zeros((), dtype), shape)

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """A device array as float32 on the host."""
        return array.astype(np.float32)

    def programs(self, attention: Callable[..., Node], mode: str, inputs: Inputs, precision: Precision) -> Programs:
        """The passes of a case; the only mode is ``eager``."""
        return Programs(attention, inputs)

    def doubled(self, array: Array) -> Array:
        """Twice the array, as a new one: known bytes are read and as many written."""
        DEVICE.launch("double", array.nbytes)
        result: Array = array * 2
        DEVICE.allocate(result)
        return result

    def matmul(self, a: Array, b: Array, precision: Precision) -> Array:
        """The product of two matrices: known FLOPs."""
        DEVICE.launch("matmul", a.size * b.shape[1])
        result: Array = a @ b
        DEVICE.allocate(result)
        return result

    def block(self, value: Any) -> Any:
        """Wait until everything in ``value`` is computed; NumPy never makes one wait."""
        return value

    def compile_times(self) -> CompileTimes:
        """Nothing is traced or compiled."""
        return CompileTimes(0.0, 0.0)

    def counters(self) -> Counters | None:
        """The fake keeps none."""
        return None

    def reset_peak(self) -> None:
        """Nothing: the fake keeps no highest-so-far."""

    def refused_bytes(self, error: BaseException) -> int | None:
        """Bytes that an out-of-memory error refused; None if it is no such error."""
        return error.refused_bytes if isinstance(error, OutOfMemory) else None

    def keep_programs(self, keep: bool) -> None:
        """Nothing is compiled."""

    def release(self) -> None:
        """Nothing is held."""
