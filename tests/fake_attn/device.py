"""The framework that the fake backend stands on: a clock that moves only by launched kernels, and a log of events.

A real framework brings all this with it; a new backend has no such file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from compare.profile.timeline import Allocation, Span, Trace

Array = NDArray[Any]
LAUNCH_NS = 1_000  # the host's share of a window, before and after the kernels


class OutOfMemory(Exception):
    """The fake's own out-of-memory error."""

    def __init__(self, refused_bytes: int) -> None:
        super().__init__(f"out of memory: {refused_bytes} bytes refused")
        self.refused_bytes = refused_bytes


class Node(NamedTuple):
    """An output with what its gradients need: the fake's autograd."""

    out: Array
    gradients: Callable[[Array], tuple[Array, Array, Array]]
    saved_bytes: int


class Device:
    """Runs kernels in no time at all on a clock of its own, and logs them while a trace is taken."""

    def __init__(self) -> None:
        self.clock_ns = 0
        self.traces = 0
        self.recording = False
        self._trace = Trace([], [], [])

    def launch(self, name: str, duration_ns: int, stretch_ns: int = 0, logged: bool = True) -> None:
        """Run a kernel; a faulty profiler reports it ``stretch_ns`` longer at both ends, or not at all."""
        start, self.clock_ns = self.clock_ns, self.clock_ns + duration_ns
        if self.recording and logged:
            self._trace.work.append(Span(name, start - stretch_ns, self.clock_ns + stretch_ns))

    def allocate(self, *arrays: Array) -> None:
        """Take memory for the arrays."""
        for array in arrays:
            self._event(array.nbytes)

    def free(self, size_bytes: int) -> None:
        """Give memory back."""
        self._event(-size_bytes)

    def _event(self, signed_bytes: int) -> None:
        self.clock_ns += 1  # no two events at one time, or sorting would mix them up
        if self.recording:
            self._trace.allocations.append(Allocation(self.clock_ns, signed_bytes))

    def begin_window(self) -> int:
        """The time at which a window opens."""
        start, self.clock_ns = self.clock_ns, self.clock_ns + LAUNCH_NS
        return start

    def end_window(self, label: str, start_ns: int) -> None:
        """Log the window that opened at ``start_ns``."""
        self.clock_ns += LAUNCH_NS
        self._trace.windows.append(Span(label, start_ns, self.clock_ns))
        self.clock_ns += 1

    def begin_trace(self) -> None:
        """Start logging."""
        self.traces += 1
        self.recording, self._trace = True, Trace([], [], [])

    def end_trace(self) -> Trace:
        """Stop logging and hand the log out."""
        self.recording = False
        return self._trace


DEVICE = Device()
