"""The workers of a run: one live process per backend, started when first asked, replaced when it must be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from compare import environment
from compare.backends import backend
from compare.messages import Failed, Finish, Finished, Reply, Request, Start, Started
from compare.records import DeviceReport, Settings
from compare.resident import available_bytes, of_process
from compare.workers import WorkerProcess


class Fleet:
    """Asks a backend's worker and keeps the rest out of sight: starting, replacing, ending."""

    def __init__(self, settings: Settings, folder: Path, started: Callable[[DeviceReport], None]) -> None:
        self._settings, self._folder, self._started = settings, folder, started
        self._live: dict[str, WorkerProcess] = {}
        self._refused: dict[str, Failed] = {}
        self._held: dict[str, int] = {}
        self.reports: dict[str, DeviceReport] = {}

    def environment(self) -> dict[str, str]:
        """The environment of every worker of this run."""
        inherited = {name: value for name, value in os.environ.items() if name not in environment.OVERRIDES}
        return inherited | environment.fair(self._settings, self._folder)

    def start(self, name: str) -> Failed | None:
        """Make sure that the backend's worker is up; a backend that once could not start is not tried again."""
        if name in self._live or name in self._refused:
            return self._refused.get(name)
        self._live[name] = self._spawn(self.environment(), name)
        reply = self._live[name].ask(self._start_request(name), self._settings.timeout_s)
        if not isinstance(reply, Started):
            self.drop(name)
            self._refused[name] = reply if isinstance(reply, Failed) else unexpected(reply)
            return self._refused[name]
        if name not in self.reports:
            self.reports[name] = reply.report
            self._started(reply.report)
        return None

    def _spawn(self, variables: dict[str, str], name: str) -> WorkerProcess:
        return WorkerProcess(variables, self._folder / f"{name}.log")

    def _start_request(self, name: str) -> Start:
        return Start(
            backend=name,
            package=backend(name).package,
            device=self._settings.device,
            threads=self._settings.threads,
        )

    def ask(self, name: str, request: Request) -> Reply:
        """The worker's reply; any failure but a refusal ends the worker, so that the next request meets a fresh one."""
        failed = self.start(name)
        if failed:
            return failed
        reply: Reply = self._live[name].ask(request, self._settings.timeout_s)
        if isinstance(reply, Failed):
            self.drop(name)
        return reply

    def ask_fresh(self, name: str, request: Request, variables: dict[str, str]) -> Reply:
        """Ask a process of its own, with other environment variables, that ends after the answer."""
        plain = {key: value for key, value in self.environment().items() if key not in environment.RECYCLE}
        worker = self._spawn(plain | variables, name)
        try:
            reply: Reply = worker.ask(self._start_request(name), self._settings.timeout_s)
            if isinstance(reply, Started):
                reply = worker.ask(request, self._settings.timeout_s)
            return reply
        finally:
            worker.stop()

    def finish(self, needed_bytes: int) -> None:
        """End of a problem: forget it everywhere, and replace the workers whose pools could starve the next one."""
        for name in list(self._live):
            reply = self.ask(name, Finish())
            self._held[name] = reply.held_bytes if isinstance(reply, Finished) else 0
        for name in list(self._live):
            if self._starves(name, needed_bytes):
                self.drop(name)

    def _starves(self, name: str, needed_bytes: int) -> bool:
        """Whether what a worker keeps for itself leaves too little for all contenders of the next problem."""
        if self._settings.device == "cpu":  # its malloc keeps freed pages
            free = available_bytes()
            return free is not None and len(self._live) * needed_bytes > free
        return self._held[name] + len(self._live) * needed_bytes > self.reports[name].total_bytes

    def resident_bytes(self) -> int:
        """Memory of this machine that the live workers hold."""
        return sum(of_process(worker.pid) for worker in self._live.values())

    def pid(self, name: str) -> int | None:
        """Process id of a live worker."""
        return self._live[name].pid if name in self._live else None

    def drop(self, name: str) -> None:
        """End a backend's worker."""
        worker = self._live.pop(name, None)
        if worker:
            worker.stop()

    def stop(self) -> None:
        """End all workers."""
        for name in list(self._live):
            self.drop(name)


def unexpected(reply: Reply) -> Failed:
    """A reply of the wrong kind, as a failure."""
    return Failed(status="ERROR", stage="reply", reason=f"unexpected answer {type(reply).__name__}")
