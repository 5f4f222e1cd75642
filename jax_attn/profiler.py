"""jax.profiler -> the common trace: windows, work and allocations in one clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData, ProfileOptions
from jaxlib._profiler import ProfilerSession  # type: ignore[import-not-found]

from compare.profile.timeline import Allocation, Overlap, Span, Trace

WINDOW = "compare:"
GRAPH_LAUNCH = "cuGraphLaunch"  # what XLA calls a command buffer
END = "end: "
# XLA:CPU hands these to its thread pool and returns; the thread that does the last task runs what follows them as well
# (even the begin of the next execution) and only then sets the mark of their end.
ASYNCHRONOUS = ("dot", "convolution")
PRODUCT_ENDS = tuple(END + name for name in ASYNCHRONOUS)
FOLLOWED = "ThunkExecutor::Execute"
DONE = (FOLLOWED, END, "ThreadpoolListener::")
GPU = re.compile(r"/device:GPU:(\d+)")  # the name of a plane
ALLOCATOR = re.compile(r"GPU_(?:[a-z]+_)?(\d+)_")  # XLA's for buffers of collectives has a word more
NUMBERED_MEMSET = re.compile(r"^Memset \d+$")  # the same one carries another number from call to call
SOURCE = "XPlane allocation events"


def window(label: str) -> AbstractContextManager[Any]:
    """Mark one iteration; the caller synchronises inside."""
    return jax.profiler.TraceAnnotation(WINDOW + label)


@contextmanager
def trace(memory: bool = False, own: Path | None = None) -> Iterator[list[Trace]]:
    """Profile the block; the list holds its Trace afterwards.  ``memory`` adds allocation events (GPU only).

    ``own``: keep JAX's own profile under this name, in the folders in which XProf looks for it.
    """
    options = ProfileOptions()
    options.python_tracer_level = 0
    options.host_tracer_level = 2 if memory or jax.default_backend() == "cpu" else 1
    found: list[Trace] = []
    session = ProfilerSession(options)  # of jax.profiler.trace, which also writes what it saw as JSON: half a second
    try:
        yield found
    finally:
        seen = _kept(session.stop(), own) if own else session.stop_and_get_profile_data()
    found.append(_read(seen))


def _kept(serialized: bytes, own: Path) -> ProfileData:
    """What was seen, written where XProf finds it when it is pointed to the folder that ``own`` lies in."""
    folder = own.parent / "plugins" / "profile" / own.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host.xplane.pb").write_bytes(serialized)
    return ProfileData.from_serialized_xspace(serialized)


def _read(data: ProfileData) -> Trace:
    """Kernels are the events of the GPU planes; on a CPU, ops are the host events that name an HLO op."""
    work, allocations, graphs = [], [], []
    products: list[tuple[Span, Any]] = []
    ends: dict[Any, int] = {}
    windows = [_window(event) for _, _, event in _events(data) if event.name.startswith(WINDOW)]
    timed = Overlap(windows)
    for plane in data.planes:
        if plane.name.startswith("/host:"):
            ends |= {mark: end_ns for line in plane.lines for mark, end_ns in _ends(line.events)}
    for place, track, event in _events(data):
        if event.name in ("MemoryAllocation", "MemoryDeallocation"):
            allocations.append(_allocation(event))
        elif not timed(event.start_ns, event.end_ns):
            continue
        elif gpu := GPU.match(place):
            work.append(_span(event, NUMBERED_MEMSET.sub("Memset", event.name), track)._replace(device=int(gpu[1])))
        elif event.name == GRAPH_LAUNCH:
            graphs.append(int(event.start_ns))
        elif place.startswith("/host:") and _is_op(event):
            if event.name.startswith(ASYNCHRONOUS):
                products.append((_span(event, event.name, track), dict(event.stats).get("_p")))
            else:
                work.append(_span(event, event.name, track))
    return Trace(windows, work + [_until(span, ends.get(mark)) for span, mark in products], allocations, graphs)


def _events(data: ProfileData) -> Iterator[tuple[str, str, Any]]:
    """Every event, with the names of its plane and of its line, which is a stream or a thread."""
    lines = ((plane.name, line.name, line.events) for plane in data.planes for line in plane.lines)
    return ((place, track, event) for place, track, events in lines for event in events)


def _window(event: Any) -> Span:
    return _span(event, event.name.removeprefix(WINDOW))


def _ends(thread: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """The marks of products on a thread and when these were done: before what followed them on the same thread."""
    done = sorted((event for event in thread if event.name.startswith(DONE)), key=lambda event: event.end_ns)
    for before, event in pairwise([None, *done]):
        if event is not None and event.name.startswith(PRODUCT_ENDS):
            followed = before is not None and before.name == FOLLOWED
            yield dict(event.stats).get("_c"), int(before.start_ns if followed else event.start_ns)


def _until(span: Span, end_ns: int | None) -> Span:
    """A product from its start to the mark of its end: its event covers only the queueing of its tasks."""
    return span._replace(end_ns=max(span.end_ns, end_ns or 0))


def _is_op(event: Any) -> bool:
    """Whether a host event is the execution of an HLO op, and not waiting."""
    return not event.name.startswith("ThunkExecutor") and any(key == "hlo_op" for key, _ in event.stats)


def _span(event: Any, name: str, track: str = "") -> Span:
    """The event's interval, in whole nanoseconds."""
    return Span(name, int(event.start_ns), int(event.end_ns), track=track)


def _allocation(event: Any) -> Allocation:
    """The signed size of a GPU allocation; host allocators emit the same events and count nothing here.

    What was asked for, not ``allocation_bytes``: XLA's pool may hand out a free block of up to twice that size.
    """
    stats = dict(event.stats)
    gpu = ALLOCATOR.match(str(stats.get("allocator_name", "")))
    size = int(stats["requested_bytes"]) if gpu else 0
    signed = size if event.name == "MemoryAllocation" else -size
    return Allocation(int(event.start_ns), signed, int(gpu[1]) if gpu else 0)
