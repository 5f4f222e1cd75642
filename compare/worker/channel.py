"""The private channel between the parent and a child process.

It is a socket of its own, never stdout: whatever a library prints goes to the child's log.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

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
