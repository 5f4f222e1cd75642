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
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from compare.worker import ranks
from compare.worker.channel import Channel
from compare.worker.launcher import ended
from compare.worker.messages import Failed, Reply
from compare.worker.resident import with_descendants

LOG_TAIL_BYTES = 4000
STOP_GRACE_S = 2.0
LAUNCHER_GRACE_S = 15.0  # in which a launcher sees that one of its processes is gone, ends the others and says why


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until the block is done: it must not leave half of the workers alive."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Launched(NamedTuple):
    """Processes that a framework's own launcher starts, one for each device; the first of them calls its parent."""

    launcher: tuple[str, ...]
    processes: int
    package: str
    obituary: Path
    """Where a process that failed by itself leaves the reason."""

    def listening(self) -> socket.socket:
        """A socket that waits for the call; its name is no path, which could be too long for one."""
        self.obituary.unlink(missing_ok=True)
        found = socket.socket(socket.AF_UNIX)
        found.bind(ranks.address(self.obituary))
        found.listen(1)
        return found

    def command(self, python: str, module: str) -> list[str]:
        """What starts the processes, each of which runs the module."""
        start = ["-m", "compare.worker.launcher", *self.launcher, str(self.processes)]
        return [python, *start, "-m", module, str(self.obituary), self.package]


class WorkerProcess:
    """One worker: its own session and process group, its output in a log file, a private socket to talk over."""

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        module: str = "compare.worker",
        replies: Any = Reply,
        launched: Launched | None = None,
        python: str = "",
    ) -> None:
        """``python``: an interpreter other than the program's own, whose environment finds this program's source."""
        here, there = socket.socketpair()
        self._log, self._launched = log, launched
        command = [python or sys.executable, "-m", module, str(there.fileno())]
        if launched:
            here.close()
            here = launched.listening()
            command = launched.command(python or sys.executable, module)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment if python else environment | {"PYTHONPATH": _python_path(environment)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[there.fileno()],
                start_new_session=True,  # a Ctrl-C reaches the parent alone, which ends the workers in order
            )
        there.close()
        self._replies, self._listening = replies, here if launched else None
        self._channel = Channel(here, replies)

    @property
    def pids(self) -> list[int]:
        """The worker's process id, and where it was launched those of all that it started."""
        return with_descendants(self._process.pid) if self._launched else [self._process.pid]

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, request: Any, timeout_s: float) -> Any:
        """Send a request and wait for its reply; a dead or hanging worker is a Failed reply, and is ended."""
        stage = type(request).__name__.lower()
        try:
            self._accept(timeout_s)
            self._channel.send(request)
            reply = self._channel.receive(timeout_s)
        except TimeoutError:
            self.stop()
            return Failed(status="TIMEOUT", stage=stage, reason=f"no answer within {timeout_s:g} s (--timeout)")
        except (EOFError, OSError):
            if self._launched and (alone := ranks.read(self._launched.obituary)):
                self.stop()
                return alone
            return Failed(status="CRASH", stage=stage, reason=self._obituary())
        except msgspec.DecodeError as error:
            self.stop()
            return Failed(status="ERROR", stage=stage, reason=f"unreadable answer: {error}")
        return reply

    def _accept(self, timeout_s: float) -> None:
        """Wait until the first of the launched processes has called."""
        end = monotonic() + timeout_s
        while self._listening:
            if self._process.poll() is not None:
                raise EOFError("the launcher ended before its processes called")
            if monotonic() > end:
                raise TimeoutError
            self._listening.settimeout(0.2)
            with suppress(TimeoutError):
                called, _ = self._listening.accept()
                self._channel.close()
                self._channel, self._listening = Channel(called, self._replies), None

    def _obituary(self) -> str:
        try:
            code = self._process.wait(LAUNCHER_GRACE_S if self._launched else STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return "the worker closed its channel without an answer"
        return f"the worker {ended(code)}" + f"; its log ends: {self._log_end()}" * (code >= 0)

    def _log_end(self) -> str:
        text = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
        return lines[-1] if lines else "(empty)"

    def stop(self) -> None:
        """End the worker and all that it started."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        pids = self.pids  # a launcher's processes are not in its group
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pid in pids[1:]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _python_path(environment: dict[str, str]) -> str:
    """The worker finds the same packages as the parent, wherever it was started."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
