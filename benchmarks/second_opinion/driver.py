"""The CUDA driver in a framework's process: profiling on and off, and a marker kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MARK = "second_opinion_mark"
# An empty kernel.  The driver compiles it for the GPU.
PTX = f".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry {MARK}()\n{{\n\tret;\n}}\n"


class Driver:
    """The first GPU's primary context, which both frameworks use."""

    def __init__(self) -> None:
        self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        device, context, module = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._mark = ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(PTX.encode()))
        self._call("cuModuleGetFunction", ctypes.byref(self._mark), module, ctypes.c_char_p(MARK.encode()))

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._cuda, name)(*arguments):
            raise RuntimeError(f"{name}: CUDA error {code}")

    def mark(self) -> None:
        """Run the empty kernel and wait for it."""
        one, none = ctypes.c_uint(1), ctypes.c_void_p()
        self._call("cuLaunchKernel", self._mark, *[one] * 6, ctypes.c_uint(0), none, none, none)
        self._call("cuCtxSynchronize")

    @contextmanager
    def profiled(self) -> Iterator[None]:
        """Profile the block, after a marker kernel."""
        self._call("cuProfilerStart")
        try:
            self.mark()
            yield
        finally:
            self._call("cuProfilerStop")
