"""torch.profiler -> the common trace: windows, work and allocations in one clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from compare.profile.timeline import Allocation, Overlap, Span, Trace

WINDOW = "compare:"
GRAPH_LAUNCH = "cudaGraphLaunch"
SOURCE = "Kineto allocation events"

# On a CPU, work is an op of a library or a kernel that Inductor wrote; what wraps them (autograd nodes, the compiled
# region, the bytecode around it) spans their gaps too and is not.
CPU_WORK = re.compile(r"(aten|mkldnn|mkl|onednn|quantized|inductor|c10d)::|gloo:|\w*cpp_fused")
# On a GPU, Kineto puts annotation spans and synchronisations on the device as well; they are no work.
NOT_GPU_WORK = re.compile(r"Context Sync|Stream Wait|Stream Sync|Event Sync|Device Sync|cuda\w*Synchronize")


def window(label: str) -> AbstractContextManager[Any]:
    """Mark one iteration; the caller synchronises inside."""
    return record_function(WINDOW + label)


@contextmanager
def trace(memory: bool = False, own: Path | None = None) -> Iterator[list[Trace]]:
    """Profile the block; the list holds its Trace afterwards.  ``memory`` adds allocation events.

    ``own``: keep Kineto's own profile under this name, as a file for Perfetto.
    """
    activities = [ProfilerActivity.CPU]
    gpu = _on_gpu()
    if gpu:
        activities.append(ProfilerActivity.CUDA)
    found: list[Trace] = []
    with profile(activities=activities, profile_memory=memory) as session:
        yield found
    found.append(_read(session.profiler.kineto_results.events(), gpu=gpu))
    if own:
        session.export_chrome_trace(f"{own}.kineto.json")


def _read(events: Any, gpu: bool) -> Trace:
    """Sort Kineto's events into windows, work and allocations of the device."""
    work, allocations, graphs = [], [], []
    found = [(event, event.name()) for event in events]
    windows = [
        _span(event, name.removeprefix(WINDOW))
        for event, name in found
        if name.startswith(WINDOW) and not _on_device(event)
    ]
    timed = Overlap(windows)
    for event, name in found:
        start_ns = event.start_ns()
        if name == "[memory]":
            if _on_device(event) == gpu:
                allocations.append(Allocation(start_ns, event.nbytes()))
        elif not timed(start_ns, start_ns + event.duration_ns()):
            continue
        elif _is_work(name, gpu) and _on_device(event) == gpu and not event.is_user_annotation():
            work.append(_span(event, name)._replace(track=_track(event, gpu)))
        elif name == GRAPH_LAUNCH:
            graphs.append(start_ns)
    return Trace(windows, work, allocations, graphs)


def _on_device(event: Any) -> bool:
    return bool(event.device_type().name == "CUDA")


def _track(event: Any, gpu: bool) -> str:
    """The stream or the thread that the event was on."""
    return f"{'stream' if gpu else 'thread'} {event.device_resource_id()}"


@cache
def _is_work(name: str, gpu: bool) -> bool:
    """Whether it is the name of a kernel, a copy, a memset or an op, and not of what wraps or waits for them."""
    return not name.startswith(WINDOW) and not NOT_GPU_WORK.match(name) if gpu else bool(CPU_WORK.match(name))


def _span(event: Any, name: str) -> Span:
    """The event's interval, in nanoseconds."""
    return Span(name, event.start_ns(), event.start_ns() + event.duration_ns())


def _on_gpu() -> bool:
    """Whether this process works on a GPU: the adapter has opened it by then."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
