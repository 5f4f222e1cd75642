"""The child process: load one backend, then answer requests until the channel closes."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from compare.backends import Adapter
from compare.machine import environment
from compare.machine.memory import total_bytes
from compare.schema.records import DeviceReport, FailureStatus, Link, Linked, Rate, Rated
from compare.worker import ranks
from compare.worker.launcher import die_with_parent
from compare.worker.protocol import (
    Answer,
    Begin,
    Channel,
    End,
    Failed,
    Finish,
    Fit,
    Foresee,
    Foreseen,
    Prepare,
    Probe,
    Probed,
    Recompile,
    Repeat,
    Reply,
    Request,
    Resident,
    Start,
    Started,
    Stream,
    Turn,
    Unsupported,
)


def pin(threads: int, place: int = 0) -> None:
    """Keep this process, and every thread pool that sizes itself by it, on ``threads`` CPUs.

    ``place``: the first process has the first ones, the next the next; in a circle where there are too few.
    """
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[(place * threads + at) % len(cpus)] for at in range(threads)})


class Worker:
    """Answers one request after another; a request that fails is answered by its reason."""

    def __init__(self, channel: Channel | None, place: int = 0, imported_s: float = 0.0) -> None:
        """``place``: which of several processes this is.  ``imported_s``: what importing its framework took before."""
        self.channel, self._place, self._imported_s = channel, place, imported_s

    def serve(self) -> None:
        """Until the parent closes the channel."""
        while self.channel:
            try:
                request = self.channel.receive()
            except EOFError:
                return
            self.channel.send(self.answer(request))

    def answer(self, request: Request) -> Reply:
        """The reply to one request."""
        stage = type(request).__name__.lower()
        try:
            return self._dispatch(request)
        except NotImplementedError as reason:
            return Unsupported(reason=str(reason) or "not implemented")
        except Exception as error:  # noqa: BLE001  every failure of a request becomes its answer, reason included
            failed = self._failed(stage, error)
        return replace(
            failed, intact=failed.status == "ERROR" and self._goes_on(request)
        )  # the error's frames are gone

    def _goes_on(self, request: Request) -> bool:
        """Forget the contender whose error it was, if it was one's; whether the others can go on in this process.

        Not where several devices share a problem: another one may wait for this one for ever.
        """
        if not isinstance(request, Prepare | Turn | Repeat | Stream) or self.session.devices:
            return False
        from compare.worker import known_work

        self.session.discard(request.case.contender if isinstance(request, Prepare) else request.contender)
        gc.collect()
        return known_work.computes(self.session)

    def _dispatch(self, request: Request) -> Reply:
        if isinstance(request, Start):
            return self._start(request)
        session = self.session
        answers: dict[type[Request], Callable[[Any], Answer]] = {
            Prepare: session.prepare,
            Begin: session.turns.begin,
            Turn: session.turns.take,
            End: session.turns.end,
            Repeat: session.repeat,
            Stream: session.stream,
            Recompile: session.recompile,
            Resident: session.resident,
            Fit: session.fit,
            Probe: self._probe,
            Rate: self._rate,
            Link: self._link,
            Foresee: self._foresee,
            Finish: session.finish,
        }
        return answers[type(request)](request)

    def _probe(self, _: Probe) -> Probed:
        from compare.worker import known_work as probing

        return Probed(findings=tuple(probing.findings(self.session)))

    def _rate(self, request: Rate) -> Rated:
        from compare.worker import known_work as rates

        return Rated(rates=tuple(rates.measured(self.session, request)))

    def _link(self, request: Link) -> Linked:
        from compare.worker import known_work as rates

        return Linked(bytes_per_s=rates.linked(self.session, request.size_bytes))

    def _foresee(self, request: Foresee) -> Foreseen:
        from compare.worker import composing

        session = self.session
        return Foreseen(reason=composing.foreseen(session.package, request.case, request.trained, session.adapter))

    def _start(self, request: Start) -> Started:
        pin(request.threads, self._place)
        begin = perf_counter()
        import_module(f"{request.package}.adapter")
        imported = perf_counter()
        from compare.worker.session import Session

        self.session = Session(request.package, request.device, request.threads, request.cache, request.devices)
        started = perf_counter()
        facts = self.session.adapter.facts()
        report = DeviceReport(
            backend=request.backend,
            device=request.device,
            device_name=facts.name or environment.processor(),
            total_bytes=facts.total_bytes or total_bytes(),
            versions=facts.versions | ({"python": environment.host()["python"]} if request.python else {}),
            flags=facts.flags,
            import_s=self._imported_s + imported - begin,
            start_s=started - imported,
            missing_modes=facts.missing_modes,
            python=request.python,
        )
        return Started(report=report)

    def _failed(self, stage: str, error: Exception) -> Failed:
        adapter: Adapter | None = getattr(getattr(self, "session", None), "adapter", None)
        refused = adapter.refused_bytes(error) if adapter else None
        status: FailureStatus = "ERROR" if refused is None else "OOM"
        print(f"--- {stage} failed", file=sys.stderr)
        sys.excepthook(type(error), error, error.__traceback__)
        return Failed(status=status, stage=stage, reason=describe(error), refused_bytes=refused or None)


def describe(error: Exception) -> str:
    """The error's type and the first lines of its text, short enough for a table."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def main() -> None:
    """Entry point of the worker: argv holds a file descriptor, or the path for the failure reason and a package."""
    die_with_parent()
    if len(sys.argv) > 2:
        one_of_several(Path(sys.argv[1]), sys.argv[2])
        return
    end = socket.socket(fileno=int(sys.argv[1]))
    Worker(Channel(end, Request)).serve()


def one_of_several(failure_path: Path, package: str) -> None:
    """A process of those that a framework's launcher started, one for each device."""
    begin = perf_counter()
    module = import_module(f"{package}.team")
    imported_s = perf_counter() - begin
    team, channel = module.Team(), None
    if team.rank == 0:
        end = socket.socket(socket.AF_UNIX)
        end.connect(ranks.address(failure_path))
        channel = Channel(end, Request)
    ranks.serve(channel, Worker(channel, team.rank, imported_s), team, failure_path)


if __name__ == "__main__":
    main()
