"""The parent's hold on a worker process: start it, ask it, and end it whatever it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from compare.channel import Channel
from compare.messages import Failed, Reply

LOG_TAIL_BYTES = 4000
STOP_GRACE_S = 2.0


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until the block is done: it must not leave half of the workers alive."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerProcess:
    """One worker: its own session and process group, its output in a log file, a private socket to talk over."""

    def __init__(
        self, environment: dict[str, str], log: Path, module: str = "compare.worker", replies: Any = Reply
    ) -> None:
        here, there = socket.socketpair()
        self._log = log
        command = [sys.executable, "-m", module, str(there.fileno())]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment | {"PYTHONPATH": _python_path(environment)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[there.fileno()],
                start_new_session=True,  # a Ctrl-C reaches the parent alone, which ends the workers in order
            )
        there.close()
        self._channel = Channel(here, replies)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, request: Any, timeout_s: float) -> Any:
        """Send a request and wait for its reply; a dead or hanging worker is a Failed reply, and is ended."""
        stage = type(request).__name__.lower()
        try:
            self._channel.send(request)
            reply = self._channel.receive(timeout_s)
        except TimeoutError:
            self.stop()
            return Failed(status="TIMEOUT", stage=stage, reason=f"no answer within {timeout_s:g} s (--timeout)")
        except (EOFError, OSError):
            return Failed(status="CRASH", stage=stage, reason=self._obituary())
        except msgspec.DecodeError as error:
            self.stop()
            return Failed(status="ERROR", stage=stage, reason=f"unreadable answer: {error}")
        return reply

    def _obituary(self) -> str:
        try:
            code = self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return "the worker closed its channel without an answer"
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (the kernel's out-of-memory killer sends this)" if name == "SIGKILL" else ""
            return f"the worker was killed by {name}{hint}"
        return f"the worker exited with code {code}; its log ends: {self._log_end()}"

    def _log_end(self) -> str:
        text = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "(empty)"

    def stop(self) -> None:
        """End the worker and all that it started."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _python_path(environment: dict[str, str]) -> str:
    """The worker finds the same packages as the parent, wherever it was started."""
    root = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
