"""Drives the workers through the problems and writes every result as it comes, in as many processes as asked for.

A failure ends its worker and nothing else.  A case that ran out of memory is retried alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from compare import variants
from compare.machine.memory import available_bytes
from compare.maths import prediction
from compare.measure import traces
from compare.measure.race import Race
from compare.measure.workers import Fleet, undisturbed
from compare.plan.cases import Plan
from compare.results.rows import outcome_of
from compare.schema.records import Case, Contender, DeviceReport, Failure, Measurement, Problem, Row, Skip
from compare.worker.protocol import Failed, Foresee, Foreseen


def known(problem: Problem, contender: Contender, contenders: Sequence[Contender]) -> str:
    """Why a case is skipped, as far as that follows from its names and sizes; empty where it does not."""
    if reason := variants.refusal(problem, contender.backend, contender.variant):
        return reason
    found = variants.described(contender.backend, contender.variant)
    alone = replace(contender, variant=found.alone, entrant=1) if found and found.alone else None
    if alone in contenders and alone and problem.devices == 1:
        return f"on one device this is {alone.name}, which is measured here"
    return ""


def refusals(plan: Plan) -> dict[Case, str]:
    """The cases of a plan that will be skipped, and why.

    A worker is started for those backends alone of which a variant takes part that can say what it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        fleet = Fleet(plan.settings, Path(folder), lambda _report: None)
        try:
            cases = (Case(problem=each, contender=who) for each in plan.problems for who in plan.contenders)
            reasons = {case: _reason(plan, case, fleet) for case in cases}
        finally:
            fleet.stop()
    return {case: reason for case, reason in reasons.items() if reason}


def _reason(plan: Plan, case: Case, fleet: Fleet) -> str:
    if reason := known(case.problem, case.contender, plan.contenders):
        return reason
    if case.problem.devices > 1 or not variants.refuses(case.contender.backend, case.contender.variant):
        return ""
    reply = fleet.ask(case.contender, Foresee(case=case, trained=plan.settings.passes != ("forward",)))
    return reply.reason if isinstance(reply, Foreseen) else ""


class Listener(Protocol):
    """Receives the events of a run: the progress display and the results file."""

    def started(self, report: DeviceReport) -> None:
        """A backend is up."""

    def stage(self, problem: Problem, text: str) -> None:
        """The current stage."""

    def recorded(self, row: Row) -> None:
        """A case is done in one process, whatever becomes of the others."""

    def finished(self, problem: Problem, process: int) -> None:
        """A problem is done in one process; all its rows there are recorded."""


class Runner:
    """One run of a plan."""

    def __init__(self, plan: Plan, folder: Path, listener: Listener) -> None:
        self.plan, self.settings = plan, plan.settings
        self._folder, self._listener = folder, listener
        self._worth: dict[Problem, list[Contender]] = {}  # contenders that the first process could measure

    def run(self) -> None:
        """All problems in one process of each worker after the other."""
        for process in range(1, self.settings.processes + 1):
            folder = self._folder / f"process-{process}"  # with compile caches of its own
            folder.mkdir()
            OneProcess(self, folder, process).run()

    def contenders(self, problem: Problem) -> Sequence[Contender]:
        """Who is worth measuring: in the first process all, later those that it could measure side by side."""
        return self._worth.get(problem, self.plan.contenders)

    def done(self, problem: Problem, rows: dict[Contender, Row], process: int) -> None:
        """A problem is done in one process."""
        self._worth.setdefault(
            problem, [each for each, row in rows.items() if isinstance(row, Measurement) and not row.alone]
        )
        self._listener.finished(problem, process)

    @property
    def listener(self) -> Listener:
        """The receiver of this run's events."""
        return self._listener


class OneProcess:
    """All problems with one set of worker processes, which end however this ends."""

    def __init__(self, runner: Runner, folder: Path, process: int) -> None:
        self._runner, self._folder, self._process = runner, folder, process
        self.plan, self.settings, self._listener = runner.plan, runner.settings, runner.listener
        self._fleet = Fleet(runner.settings, folder, runner.listener.started)

    def run(self) -> None:
        """All problems; the workers end however this ends."""
        try:
            for at, problem in enumerate(self.plan.problems):
                self._runner.done(problem, self._problem(problem), self._process)
                following = self.plan.problems[at + 1 : at + 2]
                needed = (self._needed(each, contender) for each in following for contender in self.plan.contenders)
                self._fleet.finish(max(needed, default=0))
        finally:
            with undisturbed():
                self._fleet.stop()

    def _needed(self, problem: Problem, contender: Contender) -> int:
        described = variants.described(contender.backend, contender.variant)
        needed = prediction.needed_bytes(problem, self.settings.passes, described)
        return needed * problem.devices if self.settings.device == "cpu" else needed  # which share one memory

    def _problem(self, problem: Problem) -> dict[Contender, Row]:
        rows: dict[Contender, Row] = {}
        kept = self.plan.trace and self._process == 1
        album = traces.Album(problem, self.plan.out / traces.FOLDER) if kept else None
        self._fleet.set_devices(problem.devices)
        contenders = self._runner.contenders(problem)
        for skip in self._skipped(problem, contenders):
            self._record(rows, skip)
        together = [contender for contender in contenders if contender not in rows]
        again = self._measure(problem, together, rows, album)
        for contender in again:
            self._say(problem, f"{contender.name}: out of memory; retrying alone")
            self._fleet.stop()
            self._measure(problem, [contender], rows, album, alone=True)
            self._fleet.stop()
        return rows

    def _say(self, problem: Problem, text: str) -> None:
        several = self.settings.processes > 1
        self._listener.stage(problem, f"process {self._process}: {text}" if several else text)

    def _measure(
        self,
        problem: Problem,
        contenders: Sequence[Contender],
        rows: dict[Contender, Row],
        album: traces.Album | None,
        alone: bool = False,
    ) -> list[Contender]:
        """Measure contenders side by side and record their rows; returns those to retry alone."""
        again: list[Contender] = []

        def fail(contender: Contender, failed: Failed) -> None:
            row = self._failure(problem, contender, failed)
            self._say(problem, f"{contender.name}: {outcome_of(row)}: {row.reason}")
            if self._worth_alone(row, len(contenders)):
                again.append(contender)
            else:
                self._record(rows, row)

        race = Race(self._fleet, self.settings, problem, self._folder, lambda text: self._say(problem, text))
        race.warm_costs = self.plan.warm_costs and problem == self.plan.problems[0] and self._process == 1
        race.album = album
        for row in race.run(contenders, fail):
            self._record(rows, replace(row, alone=alone) if isinstance(row, Measurement) else row)
        return again

    def _record(self, rows: dict[Contender, Row], row: Row) -> None:
        rows[row.contender] = replace(row, process=self._process)
        self._listener.recorded(rows[row.contender])

    def _worth_alone(self, row: Failure, contenders: int) -> bool:
        """Retry an out-of-memory alone, unless the refused allocation exceeds the whole device."""
        fits = not row.refused_bytes or not row.device_bytes or row.refused_bytes < row.device_bytes
        return row.status == "OOM" and self.settings.device == "gpu" and contenders > 1 and fits

    def _skipped(self, problem: Problem, contenders: Sequence[Contender]) -> Iterator[Skip]:
        available = self._available()
        for contender in contenders:
            needed = self._needed(problem, contender)
            if reason := self._refusal(problem, contender, contenders):
                yield Skip(problem=problem, contender=contender, reason=reason)
            elif available is not None and needed > available:  # two live workers hold their heaps at once
                yield Skip(
                    problem=problem,
                    contender=contender,
                    reason=f"needs more memory than is free{self._share_of_memory()}",
                    predicted_bytes=needed,
                    available_bytes=available,
                )

    def _refusal(self, problem: Problem, contender: Contender, contenders: Sequence[Contender]) -> str | None:
        return known(problem, contender, contenders) or self._missing_mode(contender)

    def _share_of_memory(self) -> str:
        count = self.plan.worker_count
        return f" for each of {count} workers" if count > 1 else ""

    def _available(self) -> int | None:
        """Memory that each backend may use on a CPU; what live workers hold counts as free."""
        free = available_bytes() if self.settings.device == "cpu" else None
        return None if free is None else (free + self._fleet.resident_bytes()) // self.plan.worker_count

    def _missing_mode(self, contender: Contender) -> str | None:
        self._fleet.start(contender)
        report = self._fleet.reports.get(contender.home)
        return report.missing_modes.get(contender.mode) if report else None

    def _failure(self, problem: Problem, contender: Contender, failed: Failed) -> Failure:
        return Failure(
            problem=problem,
            contender=contender,
            status=failed.status,
            stage=failed.stage,
            reason=failed.reason,
            predicted_bytes=self._needed(problem, contender),
            refused_bytes=failed.refused_bytes,
            device_bytes=max((each.total_bytes for each in self._fleet.reports.values()), default=0) or None,
        )


def failed_logs(folder: Path, rows: Iterable[Row]) -> list[tuple[str, Path]]:
    """If a case failed, the logs of all workers, with the names to copy them to."""
    failed = any(isinstance(row, Failure) for row in rows)
    return [(f"{log.parent.name}-{log.name}", log) for log in folder.glob("*/*.log")] if failed else []
