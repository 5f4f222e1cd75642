"""What the parent and a worker say to each other: requests, replies, and the private channel that carries them.

The channel is a socket of its own, never stdout: whatever a library prints goes to the worker's log.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Literal

import msgspec

from compare.records import (
    Case,
    Contender,
    Cost,
    Device,
    DeviceReport,
    FailureStatus,
    Kernel,
    Notice,
    PassName,
    Record,
)

Result = Literal["pass", "fail", "not applicable"]


class Start(Record, frozen=True, tag=True):
    """Import the backend's package and open its device."""

    backend: str
    package: str
    device: Device
    threads: int


class Prepare(Record, frozen=True, tag=True):
    """Compile a case, check its numbers into ``folder``, measure its memory, and warm it up until steady."""

    case: Case
    passes: tuple[PassName, ...]
    folder: str
    warmup_budget_s: float


class Turn(Record, frozen=True, tag=True):
    """Take one turn: ``per_round`` wall samples and as many device samples of each pass."""

    contender: Contender
    per_round: dict[PassName, int]


class Repeat(Record, frozen=True, tag=True):
    """Run every pass once more, as it was sampled, and write its numbers beside the first ones."""

    contender: Contender
    folder: str


class Resident(Record, frozen=True, tag=True):
    """Growth of this process's resident memory in each pass of a case (CPU)."""

    case: Case
    passes: tuple[PassName, ...]


class Probe(Record, frozen=True, tag=True):
    """Check the framework and its profiler by known work on the device."""


class Finish(Record, frozen=True, tag=True):
    """Forget the current problem."""


class Started(Record, frozen=True, tag=True):
    """The backend is up."""

    report: DeviceReport


class PassMemory(Record, frozen=True):
    """Peak of one pass above what was allocated before it, and who says so."""

    peak_bytes: int
    source: str
    buffer_bytes: int | None = None


class Prepared(Record, frozen=True, tag=True):
    """A case is ready to be sampled."""

    costs: dict[str, Cost]
    seconds: dict[PassName, float]
    memory: dict[PassName, PassMemory]
    saved_bytes: int | None
    fused: dict[PassName, str]
    warnings: tuple[Notice, ...]


class Turned(Record, frozen=True, tag=True):
    """The samples of one turn, in seconds, and what ran in the last iteration of each pass."""

    device_s: dict[PassName, tuple[float, ...]]
    wall_s: dict[PassName, tuple[float, ...]]
    kernels: dict[PassName, tuple[Kernel, ...]]
    refused: tuple[str, ...]
    page_faults: int = 0


class Repeated(Record, frozen=True, tag=True):
    """The numbers are written."""


class Residents(Record, frozen=True, tag=True):
    """Resident growth per pass in bytes, and across `save`."""

    peak_bytes: dict[PassName, int]


class Finding(Record, frozen=True):
    """One answer of the doctor: what was checked, how it came out, and what was seen."""

    check: str
    result: Result
    text: str


class Probed(Record, frozen=True, tag=True):
    """What the checks found."""

    findings: tuple[Finding, ...]


class Finished(Record, frozen=True, tag=True):
    """The problem is forgotten; ``held_bytes`` of the device stay with this process."""

    held_bytes: int


class Unsupported(Record, frozen=True, tag=True):
    """The variant does not support this combination, and why."""

    reason: str


class Failed(Record, frozen=True, tag=True):
    """A request failed."""

    status: FailureStatus
    stage: str
    reason: str
    refused_bytes: int | None = None


Request = Start | Prepare | Turn | Repeat | Resident | Probe | Finish
Reply = Started | Prepared | Turned | Repeated | Residents | Probed | Finished | Unsupported | Failed

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
