"""Baselines: the same pairs timed by common protocols, with the same problems, code, workers and time.

For each protocol a contender gets the time budget of our own sampling, split evenly over the passes that the protocol
can time.  The contenders of a pair run back to back, which favors these protocols over two separate scripts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.verdict_check.protocols import PROTOCOLS, Protocol
from benchmarks.verdict_check.trials import Sampled, Trial, Workers, trials_of
from benchmarks.verdict_check.wanted import Sizes, Wanted, cases_of
from benchmarks.verdict_check.worker import Open, Ready, Reply, Take, Taken
from compare.measure.workers import Fleet, WorkerProcess
from compare.schema.records import Contender, Device, PassName, Problem
from compare.worker.protocol import Failed

TIMEOUT_S = 600.0
Processes = dict[Contender, WorkerProcess]


class Baselines:
    """Times pairs by every protocol that can run here, and logs the samples."""

    def __init__(self, wanted: Wanted, log: Path, say: Callable[[str], None]) -> None:
        self._wanted, self._log, self._say = wanted, log, say

    def compare(self, contenders: tuple[Contender, ...], sizes: dict[Device, Sizes], workers: Workers) -> list[Trial]:
        """Compares every later contender with the first, on every problem and pass."""
        settings, found = self._wanted.settings(sizes), []
        with started(contenders, workers, settings) as processes:
            for problem in self._wanted.problems(sizes):
                self._say(f"{contenders[0].name} {problem.label}, {_where(workers)}")
                for case in cases_of(problem, contenders):
                    _ask(processes[case.contender], Ready(case=case, passes=self._wanted.passes))
                for group in self._groups(problem, processes, workers):
                    self._keep(group)
                    found += trials_of(group)
        return found

    def _groups(self, problem: Problem, processes: Processes, workers: Workers) -> Iterator[list[Sampled]]:
        backend = next(iter(processes)).backend
        for name, protocol in runnable(self._wanted.device, backend).items():
            passes = [each for each in self._wanted.passes if each in protocol.passes]
            for pass_name in passes:
                yield [
                    Sampled(
                        workers=workers,
                        problem=problem,
                        contender=contender,
                        pass_name=pass_name,
                        protocol=name,
                        seconds=self._take(processes[contender], contender, pass_name, name, len(passes)),
                    )
                    for contender in processes
                ]

    def _take(
        self, process: WorkerProcess, contender: Contender, pass_name: PassName, protocol: str, passes: int
    ) -> tuple[float, ...]:
        budget_s = self._wanted.budget_s / passes
        request = Take(contender=contender, pass_name=pass_name, protocol=protocol, budget_s=budget_s)
        return _ask(process, request).seconds

    def _keep(self, group: Sequence[Sampled]) -> None:
        with self._log.open("ab") as file:
            for each in group:
                file.write(msgspec.json.encode(each) + b"\n")


def runnable(device: Device, backend: str) -> dict[str, Protocol]:
    """The protocols that support this backend and device."""
    return {name: each for name, each in PROTOCOLS.items() if backend in each.backends and not each.missing(device)}


def notes(device: Device) -> list[str]:
    """The limits of the protocols here, one line each."""
    lines = []
    for name, protocol in PROTOCOLS.items():
        if reason := protocol.missing(device):
            lines.append(f"{name}: not measured: {reason}")
        elif protocol.leaves_out:
            lines.append(f"{name}: {protocol.leaves_out}")
    return lines


@contextmanager
def started(contenders: Sequence[Contender], workers: Workers, settings: Any) -> Iterator[Processes]:
    """One process per contender, or one for all, in the environment of the program's own workers."""
    with tempfile.TemporaryDirectory(prefix="baselines-") as folder, ExitStack() as stack:
        environment = Fleet(settings, Path(folder), lambda _: None).environment()
        package = f"benchmarks.planted.{contenders[0].backend}_attn"
        processes: list[WorkerProcess] = []
        for at in range(len(contenders) if workers == "contender" else 1):
            log = Path(folder) / f"{at}.log"
            processes.append(WorkerProcess(environment, log, "benchmarks.verdict_check.worker", Reply))
            stack.callback(processes[-1].stop)
            _ask(processes[-1], Open(package=package, device=settings.device, threads=settings.threads))
        yield {contender: processes[at % len(processes)] for at, contender in enumerate(contenders)}


def _ask(process: WorkerProcess, request: Any) -> Taken:
    reply = process.ask(request, TIMEOUT_S)
    if isinstance(reply, Failed):
        raise SystemExit(f"a worker of the baselines failed at {reply.stage}: {reply.reason}")
    taken: Taken = reply
    return taken


def _where(workers: Workers) -> str:
    return "in one process" if workers == "backend" else "in two processes"
