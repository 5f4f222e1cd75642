"""IPC channel between the parent and a worker, and its protocol: requests and replies."""

from __future__ import annotations

import socket
import struct
from typing import Any, Literal

import msgspec

from compare.profile.timeline import Allocation, Iteration, Span, Trace
from compare.schema.records import (
    Cache,
    Case,
    Contender,
    Cost,
    Device,
    DeviceReport,
    FailureStatus,
    Kernel,
    Link,
    Linked,
    MemoryCurve,
    Notice,
    PassName,
    Rate,
    Rated,
    Record,
)

_HEADER = struct.Struct(">I")


class Channel:
    """Length-prefixed JSON messages over a socket."""

    def __init__(self, end: socket.socket, incoming: Any) -> None:
        self._end = end
        self._decoder = msgspec.json.Decoder(incoming)
        self._encoder = msgspec.json.Encoder()

    def send(self, message: Any) -> None:
        """Send one message whole."""
        body = self._encoder.encode(message)
        self._end.sendall(_HEADER.pack(len(body)) + body)

    def receive(self, timeout_s: float | None = None) -> Any:
        """The next message.  Raises TimeoutError after ``timeout_s``, EOFError when the other side has gone."""
        self._end.settimeout(timeout_s)
        [size] = _HEADER.unpack(self._read(_HEADER.size))
        return self._decoder.decode(self._read(size))

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._end.recv(size - len(parts))
            if not part:
                raise EOFError("the other side closed the channel")
            parts += part
        return bytes(parts)

    def close(self) -> None:
        """Close this end."""
        self._end.close()


MOST_EVENTS = 20_000  # spans of one iteration that are kept, and as many allocations: some megabytes


class Ran(Record, frozen=True):
    """One iteration as the profiler saw it; moments are nanoseconds from the start of its window.

    ``spans`` and ``changes`` (of allocated bytes) say how many there were, where not all of them are kept.
    """

    device_s: float
    window_ns: int
    work: tuple[Span, ...]
    allocations: tuple[Allocation, ...]
    spans: int
    changes: int


def ran(trace: Trace, one: Iteration) -> Ran:
    """What is kept of an iteration: the first of its spans and of the allocations in its window."""
    end_ns = one.start_ns + round(one.window_s * 1e9)
    work = sorted(one.work, key=lambda span: span.start_ns)
    inside = [event for event in trace.allocations if one.start_ns <= event.time_ns <= end_ns and event.signed_bytes]
    inside.sort(key=lambda event: event.time_ns)
    return Ran(
        device_s=one.device_s,
        window_ns=end_ns - one.start_ns,
        work=tuple(
            span._replace(start_ns=span.start_ns - one.start_ns, end_ns=span.end_ns - one.start_ns)
            for span in work[:MOST_EVENTS]
        ),
        allocations=tuple(each._replace(time_ns=each.time_ns - one.start_ns) for each in inside[:MOST_EVENTS]),
        spans=len(work),
        changes=len(inside),
    )


Result = Literal["pass", "fail", "busy", "not applicable"]


class Start(Record, frozen=True, tag=True):
    """Import the backend's package and open its device; ``python`` if the interpreter is not the program's own."""

    backend: str
    package: str
    python: str
    device: Device
    threads: int
    cache: Cache = "warm"
    devices: int = 1


class Prepare(Record, frozen=True, tag=True):
    """Compile a case, check its numbers into ``folder``, measure its memory, and warm it up until steady."""

    case: Case
    passes: tuple[PassName, ...]
    folder: str
    warmup_budget_s: float


class Begin(Record, frozen=True, tag=True):
    """Open the profiler for the profiled turns that follow.

    With ``own``, a path without an ending, the framework's own profile is kept there, and `Seen` tells what ran.
    """

    own: str = ""


class Turn(Record, frozen=True, tag=True):
    """Take a turn in one pass: ``count`` iterations, with wall-clock times or, ``profiled``, for the open profiler.

    ``after_other``: the turn before it was another process's.
    """

    contender: Contender
    pass_name: PassName
    count: int
    round: int
    profiled: bool
    after_other: bool


class End(Record, frozen=True, tag=True):
    """Close the profiler and say what it saw; ``count`` is per contender's name and pass."""

    count: dict[str, dict[PassName, int]]


class Repeat(Record, frozen=True, tag=True):
    """Run every pass once more, as it was sampled, and write its numbers beside the first ones."""

    contender: Contender
    folder: str


class Stream(Record, frozen=True, tag=True):
    """Time streams of calls of a prepared contender: many calls, and one wait at the end."""

    contender: Contender
    passes: tuple[PassName, ...]


class Recompile(Record, frozen=True, tag=True):
    """Forget all programs and compile a case again with warm compile caches; nothing stays prepared."""

    case: Case
    passes: tuple[PassName, ...]


class Resident(Record, frozen=True, tag=True):
    """Growth of this process's resident memory in each pass of a case (CPU)."""

    case: Case
    passes: tuple[PassName, ...]


class Probe(Record, frozen=True, tag=True):
    """Check the framework and its profiler by known work on the device."""


class Fit(Record, frozen=True, tag=True):
    """Run one iteration of one pass and forget it; on a CPU with ``most_bytes`` more than are held now."""

    case: Case
    pass_name: PassName
    most_bytes: int | None = None


class Foresee(Record, frozen=True, tag=True):
    """Ask whether a variant will refuse a case, without running it; ``trained``: with gradients."""

    case: Case
    trained: bool


class Finish(Record, frozen=True, tag=True):
    """Forget the current problem."""


class Started(Record, frozen=True, tag=True):
    """The backend is up."""

    report: DeviceReport


class PassMemory(Record, frozen=True):
    """Peak memory of one pass above what was allocated before it, its source, and memory over time."""

    peak_bytes: int
    source: str
    over_time: MemoryCurve
    buffer_bytes: int | None = None


class Prepared(Record, frozen=True, tag=True):
    """A case is ready to be sampled."""

    costs: dict[str, Cost]
    seconds: dict[PassName, float]
    memory: dict[PassName, PassMemory]
    saved_bytes: int | None
    fused: dict[PassName, str]
    warnings: tuple[Notice, ...]
    contents: dict[PassName, dict[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)
    ran: str = ""


class Begun(Record, frozen=True, tag=True):
    """The profiler is open."""


class Turned(Record, frozen=True, tag=True):
    """The wall samples of one turn in seconds, none of a profiled one, and its page faults."""

    wall_s: tuple[float, ...]
    page_faults: int


class Seen(Record, frozen=True):
    """What the profiler saw of one pass: device seconds by round, what ran last, and why some rounds are discarded."""

    contender: Contender
    pass_name: PassName
    device_s: dict[int, tuple[float, ...]]
    kernels: tuple[Kernel, ...]
    refused: dict[int, str]
    communication_s: float | None = None
    hidden_s: float | None = None
    graph_launches: int = 0
    ran: Ran | None = None


class Ended(Record, frozen=True, tag=True):
    """The profiler is closed."""

    seen: tuple[Seen, ...]


class Repeated(Record, frozen=True, tag=True):
    """The numbers are written."""


class Streamed(Record, frozen=True, tag=True):
    """Wall seconds of one call in each stream, per pass."""

    call_s: dict[PassName, tuple[float, ...]]


class Recompiled(Record, frozen=True, tag=True):
    """What each program cost with warm caches."""

    costs: dict[str, Cost]


class Residents(Record, frozen=True, tag=True):
    """Resident growth per pass in bytes, and across `save`."""

    peak_bytes: dict[PassName, int]


class Finding(Record, frozen=True):
    """One answer of the doctor: the check, its result, and details."""

    check: str
    result: Result
    text: str


class Probed(Record, frozen=True, tag=True):
    """What the checks found."""

    findings: tuple[Finding, ...]


class Fitted(Record, frozen=True, tag=True):
    """It ran."""


class Foreseen(Record, frozen=True, tag=True):
    """The reason; empty if it will not."""

    reason: str


class Finished(Record, frozen=True, tag=True):
    """The problem is forgotten; ``held_bytes`` of the device stay with this process."""

    held_bytes: int


class Unsupported(Record, frozen=True, tag=True):
    """The variant does not support this combination, and why."""

    reason: str


class Failed(Record, frozen=True, tag=True):
    """A request failed; ``intact``: the worker can go on."""

    status: FailureStatus
    stage: str
    reason: str
    refused_bytes: int | None = None
    intact: bool = False


Sample = Begin | Turn | End | Repeat | Stream | Recompile | Resident
Request = Start | Prepare | Sample | Fit | Probe | Rate | Link | Foresee | Finish
Measured = Prepared | Begun | Turned | Ended | Repeated | Streamed | Recompiled | Residents | Fitted
Answer = Measured | Probed | Rated | Linked | Foreseen | Finished
Reply = Started | Answer | Unsupported | Failed
