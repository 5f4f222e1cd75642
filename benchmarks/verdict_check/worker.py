"""The worker of the baselines: the program's own session, timed by another protocol."""

from __future__ import annotations

import socket
import sys

from benchmarks.verdict_check.protocols import PROTOCOLS
from compare.schema.records import Case, Contender, Device, PassName, Record
from compare.worker.__main__ import describe, pin
from compare.worker.launcher import die_with_parent
from compare.worker.protocol import Channel, Failed
from compare.worker.session import Session

FIRST_CALLS = 2  # of every pass, before anything is timed; they compile


class Open(Record, frozen=True, tag=True):
    """Import the package and open its device."""

    package: str
    device: Device
    threads: int


class Ready(Record, frozen=True, tag=True):
    """Compile the passes of a case."""

    case: Case
    passes: tuple[PassName, ...]


class Take(Record, frozen=True, tag=True):
    """Sample one pass of a prepared contender."""

    contender: Contender
    pass_name: PassName
    protocol: str
    budget_s: float


class Taken(Record, frozen=True, tag=True):
    """Seconds per call; empty for requests that time nothing."""

    seconds: tuple[float, ...] = ()


Request = Open | Ready | Take
Reply = Taken | Failed


class Timer:
    """Answers one request after another."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def serve(self) -> None:
        """Until the parent closes the channel."""
        while True:
            try:
                request = self._channel.receive()
            except EOFError:
                return
            self._channel.send(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        try:
            return Taken(seconds=self._do(request))
        except Exception as error:  # noqa: BLE001  every failure of a request becomes its answer, reason included
            return Failed(status="ERROR", stage=type(request).__name__.lower(), reason=describe(error))

    def _do(self, request: Request) -> tuple[float, ...]:
        if isinstance(request, Open):
            pin(request.threads)
            self._threads = request.threads
            self._session = Session(request.package, request.device, request.threads)
            return ()
        if isinstance(request, Ready):
            programs = self._session.programs_of(request.case)
            for name in request.passes * FIRST_CALLS:
                self._session.run(programs, name)
            return ()
        programs = self._session.prepared(request.contender)
        take = PROTOCOLS[request.protocol].take
        return tuple(take(self._session, programs, request.pass_name, request.budget_s, self._threads))


def main() -> None:
    """Entry of the child process: argv holds the channel's file descriptor."""
    die_with_parent()
    Timer(Channel(socket.socket(fileno=int(sys.argv[1])), Request)).serve()


if __name__ == "__main__":
    main()
