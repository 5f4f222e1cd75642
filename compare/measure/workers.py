"""The workers of a run: started when first needed, asked, replaced after a crash, and always ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import msgspec

from compare.backends import backend
from compare.machine import environment
from compare.machine.memory import available_bytes, of_process, with_descendants
from compare.plan import interpreters
from compare.schema.records import Contender, DeviceReport, Settings
from compare.worker import ranks
from compare.worker.launcher import ended
from compare.worker.protocol import Channel, Failed, Finish, Finished, Reply, Request, Start, Started, Unsupported

LOG_TAIL_BYTES = 4000
STOP_GRACE_S = 2.0
LAUNCHER_GRACE_S = 15.0  # for a launcher to notice a dead process, end the others and report why


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until the block is done: it must not leave half of the workers alive."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Launched(NamedTuple):
    """Processes that a framework's own launcher starts, one for each device; the first connects to its parent."""

    launcher: tuple[str, ...]
    processes: int
    package: str
    failure_path: Path
    """Where a process that failed writes the reason."""

    def listening(self) -> socket.socket:
        """A socket that waits for the connection; its name is not a path, which could be too long."""
        self.failure_path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(ranks.address(self.failure_path))
        listening.listen(1)
        return listening

    def command(self, python: str, module: str) -> list[str]:
        """What starts the processes, each of which runs the module."""
        start = ["-m", "compare.worker.launcher", *self.launcher, str(self.processes)]
        return [python, *start, "-m", module, str(self.failure_path), self.package]


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
                start_new_session=True,  # Ctrl-C reaches only the parent, which ends the workers in order
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
            if self._launched and (failed := ranks.read(self._launched.failure_path)):
                self.stop()
                return failed
            return Failed(status="CRASH", stage=stage, reason=self._crash_reason())
        except msgspec.DecodeError as error:
            self.stop()
            return Failed(status="ERROR", stage=stage, reason=f"unreadable answer: {error}")
        return reply

    def _accept(self, timeout_s: float) -> None:
        """Wait until the first of the launched processes has connected."""
        end = monotonic() + timeout_s
        while self._listening:
            if self._process.poll() is not None:
                raise EOFError("the launcher exited before its processes connected")
            if monotonic() > end:
                raise TimeoutError
            self._listening.settimeout(0.2)
            with suppress(TimeoutError):
                connection, _ = self._listening.accept()
                self._channel.close()
                self._channel, self._listening = Channel(connection, self._replies), None

    def _crash_reason(self) -> str:
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


Answer = TypeVar("Answer")


class Fleet:
    """The worker processes: started on the first request, replaced after a crash, ended."""

    def __init__(self, settings: Settings, folder: Path, started: Callable[[DeviceReport], None]) -> None:
        self._settings, self._folder, self._started = settings, folder, started
        self._live: dict[str, WorkerProcess] = {}
        self._refused: dict[str, Failed | Unsupported] = {}
        self._held: dict[str, int] = {}
        self._devices = 1
        self._spawned = 0
        self.reports: dict[str, DeviceReport] = {}

    def environment(self, contender: Contender | None = None) -> dict[str, str]:
        """The environment of every worker of this run; another interpreter has compile caches of its own."""
        inherited = environment.inherited()
        if not contender or not contender.python:
            return inherited | environment.fair(self._settings, self._folder)
        caches = self._folder / plain(contender.home)
        caches.mkdir(exist_ok=True)
        fair = environment.fair(self._settings, caches)
        return interpreters.environment(inherited, interpreters.source(self._folder)) | fair

    def set_devices(self, devices: int) -> None:
        """Number of devices for the problems that follow; workers with another number end."""
        if devices != self._devices:
            self.stop()
            self._refused.clear()
            self._devices = devices

    def worker(self, contender: Contender) -> str:
        """Name of the worker that runs the contender."""
        return contender.name if self._settings.workers == "contender" else contender.home

    def start(self, contender: Contender) -> Failed | Unsupported | None:
        """Start the contender's worker unless it is up; one that failed to start is not retried."""
        name = self.worker(contender)
        if name in self._live or name in self._refused:
            return self._refused.get(name)
        self._live[name] = self._spawn(self.environment(contender), contender)
        reply = self._live[name].ask(self._start_request(contender), self._settings.timeout_s)
        if not isinstance(reply, Started):
            self.drop(name)
            self._refused[name] = reply if isinstance(reply, Failed | Unsupported) else unexpected(reply)
            return self._refused[name]
        if contender.home not in self.reports:
            self.reports[contender.home] = reply.report
            self._started(reply.report)
        return None

    def _spawn(self, variables: dict[str, str], contender: Contender) -> WorkerProcess:
        entry, launched = backend(contender.backend), None
        self._spawned += 1
        if self._devices > 1:
            launcher = entry.launched(self._settings.process_per_device)
            variables |= environment.of_devices(self._settings, self._devices, bool(launcher))
            if launcher:
                launched = Launched(launcher, self._devices, entry.package, self._folder / f"{self._spawned}.reason")
        log = self._folder / f"{plain(self.worker(contender))}.log"
        return WorkerProcess(variables, log, launched=launched, python=contender.python)

    def _start_request(self, contender: Contender) -> Start:
        entry = backend(contender.backend)
        processes = self._devices if entry.launched(self._settings.process_per_device) else 1
        return Start(
            backend=contender.home,
            package=entry.package,
            python=contender.python,
            device=self._settings.device,
            threads=max(1, self._settings.threads // processes),
            devices=self._devices,
            cache=self._settings.cache,
        )

    def ask(self, contender: Contender, request: Request) -> Reply:
        """The reply of the contender's worker, started if it must be."""
        failed = self.start(contender)
        return failed or self._ask(self.worker(contender), request)

    def _ask(self, name: str, request: Request) -> Reply:
        """A live worker's reply; a failure that leaves it damaged ends it, and the next request starts a fresh one."""
        reply: Reply = self._live[name].ask(request, self._settings.timeout_s)
        if isinstance(reply, Failed) and not reply.intact:
            self.drop(name)
        return reply

    def ask_fresh(self, contender: Contender, request: Request, variables: dict[str, str]) -> Reply:
        """Ask a process of its own, with other environment variables, that ends after the answer."""
        own = {key: value for key, value in self.environment(contender).items() if key not in environment.RECYCLE}
        worker = self._spawn(own | variables, contender)
        try:
            reply: Reply = worker.ask(self._start_request(contender), self._settings.timeout_s)
            if isinstance(reply, Started):
                reply = worker.ask(request, self._settings.timeout_s)
            return reply
        finally:
            worker.stop()

    def finish(self, needed_bytes: int) -> None:
        """End a problem: free its memory, and end workers whose memory pools leave too little for the next one."""
        for name in list(self._live):
            reply = self._ask(name, Finish())
            self._held[name] = reply.held_bytes if isinstance(reply, Finished) else 0
        for name in list(self._live):
            if self._starves(name, needed_bytes):
                self.drop(name)

    def _starves(self, name: str, needed_bytes: int) -> bool:
        """Whether a worker's memory pool leaves too little for all contenders of the next problem."""
        if self._settings.device == "cpu":  # its malloc keeps freed pages
            free = available_bytes()
            return free is not None and len(self._live) * needed_bytes > free
        total_bytes = min(report.total_bytes for report in self.reports.values())
        return self._held[name] + len(self._live) * needed_bytes > total_bytes

    def resident_bytes(self) -> int:
        """Memory of this machine that the live workers hold."""
        return sum(of_process(pid) for worker in self._live.values() for pid in worker.pids)

    def pids(self) -> list[int]:
        """Process ids of the live workers."""
        return [pid for worker in self._live.values() for pid in worker.pids]

    def alive(self, contender: Contender) -> bool:
        """Whether the contender's worker is up."""
        return self.worker(contender) in self._live

    def drop(self, name: str) -> None:
        """End a worker."""
        worker = self._live.pop(name, None)
        if worker:
            worker.stop()

    def stop(self) -> None:
        """End all workers."""
        for name in list(self._live):
            self.drop(name)


def plain(worker: str) -> str:
    """A worker's name as a file name: that of a user's function holds a path."""
    return re.sub(r"[^\w.#@-]", "-", worker)


class Broken(Exception):
    """A contender failed in the middle of a block."""

    def __init__(self, contender: Contender, failed: Failed) -> None:
        super().__init__(failed.reason)
        self.contender, self.failed = contender, failed


def expected(contender: Contender, reply: Reply, kind: type[Answer]) -> Answer:
    """The reply, or Broken where it is of another kind."""
    if not isinstance(reply, kind):
        raise Broken(contender, reply if isinstance(reply, Failed) else unexpected(reply))
    return reply


def unexpected(reply: Reply) -> Failed:
    """A reply of the wrong kind, as a failure."""
    return Failed(status="ERROR", stage="reply", reason=f"unexpected answer {type(reply).__name__}")
