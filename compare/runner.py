"""Drives the workers through the problems and writes every result as it comes.

For each problem: prepare its contenders one after the other, have their numbers judged, then sample them in turns, in
an order drawn anew each round.  A failure ends its worker and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from compare import environment, judging, prediction
from compare.cases import Plan
from compare.fleet import Fleet, unexpected
from compare.messages import Failed, Prepare, Prepared, Repeat, Repeated, Resident, Residents, Unsupported
from compare.records import (
    Agreement,
    Case,
    Contender,
    DeviceReport,
    Failure,
    Measurement,
    Notice,
    Problem,
    Row,
    Skip,
)
from compare.resident import PROBE_FROM_BYTES, available_bytes, can_measure
from compare.sampling import Again, Fail, Sampling
from compare.workers import undisturbed

JUDGE_SHARE = 0.5  # of the sampling budget: the oracle may take this long before it checks drawn slices only
WARMUP_SHARE = 0.25


class Listener(Protocol):
    """Who is told while the run goes on: the progress display and the results file."""

    def started(self, report: DeviceReport) -> None:
        """A backend is up."""

    def stage(self, problem: Problem, text: str) -> None:
        """What is being done now."""

    def recorded(self, row: Row) -> None:
        """A case is done, whatever becomes of the others."""

    def finished(self, rows: Sequence[Row]) -> None:
        """A problem is done; these are its rows, all recorded before."""


class Runner:
    """One run of a plan."""

    def __init__(self, plan: Plan, folder: Path, listener: Listener) -> None:
        self.plan, self.settings = plan, plan.settings
        self._folder, self._listener = folder, listener
        self._fleet = Fleet(plan.settings, folder, listener.started)

    def run(self) -> None:
        """All problems; the workers end however this ends."""
        try:
            for at, problem in enumerate(self.plan.problems):
                rows = self._problem(problem)
                self._listener.finished([rows[c] for c in self.plan.contenders])
                following = self.plan.problems[at + 1 : at + 2]
                self._fleet.finish(max((self._needed(each) for each in following), default=0))
        finally:
            with undisturbed():
                self._fleet.stop()

    def _needed(self, problem: Problem) -> int:
        return prediction.needed_bytes(problem, self.settings.passes)

    def _problem(self, problem: Problem) -> dict[Contender, Row]:
        rows: dict[Contender, Row] = {}
        for skip in self._skipped(problem):
            self._record(rows, skip)
        together = [contender for contender in self.plan.contenders if contender not in rows]
        again = self._measure(problem, together, rows, alone=False)
        for contender in again:
            self._listener.stage(problem, f"{contender.name}: out of memory, again with the device to itself")
            self._fleet.stop()
            self._measure(problem, [contender], rows, alone=True)
            self._fleet.stop()
        return rows

    def _record(self, rows: dict[Contender, Row], row: Row) -> None:
        rows[row.contender] = row
        self._listener.recorded(row)

    def _worth_alone(self, row: Failure, contenders: int) -> bool:
        """An out-of-memory beside others is tried again, unless what was refused exceeds the whole device."""
        fits = not row.refused_bytes or not row.device_bytes or row.refused_bytes < row.device_bytes
        return row.status == "OOM" and self.settings.device == "gpu" and contenders > 1 and fits

    def _skipped(self, problem: Problem) -> Iterator[Skip]:
        needed, available = self._needed(problem), self._available()
        for contender in self.plan.contenders:
            if available is not None and needed > available:  # two live workers hold their heaps at once
                yield Skip(
                    problem=problem,
                    contender=contender,
                    reason=f"needs more memory than is free{self._share_of_memory()}",
                    predicted_bytes=needed,
                    available_bytes=available,
                )
            elif reason := self._missing_mode(contender):
                yield Skip(problem=problem, contender=contender, reason=reason)

    def _share_of_memory(self) -> str:
        count = self.plan.worker_count
        return f" for each of {count} workers" if count > 1 else ""

    def _available(self) -> int | None:
        """What each backend may take of a CPU's memory; what a live worker holds of it is its own, or can be freed."""
        free = available_bytes() if self.settings.device == "cpu" else None
        return None if free is None else (free + self._fleet.resident_bytes()) // self.plan.worker_count

    def _missing_mode(self, contender: Contender) -> str | None:
        self._fleet.start(contender)
        report = self._fleet.reports.get(contender.backend)
        return report.missing_modes.get(contender.mode) if report else None

    def _measure(
        self, problem: Problem, contenders: Sequence[Contender], rows: dict[Contender, Row], alone: bool
    ) -> list[Contender]:
        """Measure contenders side by side and record their rows; returns those to be tried again alone."""
        again: list[Contender] = []

        def fail(contender: Contender, failed: Failed) -> None:
            row = self._failure(problem, contender, failed)
            if self._worth_alone(row, len(contenders)):
                again.append(contender)
            else:
                self._record(rows, row)

        folders = {contender: self._numbers_folder(at) for at, contender in enumerate(contenders)}
        ready = self._prepare(problem, folders, rows, fail)
        residents = {each: self._resident(problem, each, ready[each]) for each in ready}
        sampling = Sampling(
            self._fleet, self.settings, problem, ready, lambda text: self._listener.stage(problem, text)
        )
        failed = sampling.run(self._prepare_again(problem, folders), fail)
        measured = [each for each in ready if each not in failed]
        measured = [each for each in measured if self._repeat(each, folders[each], fail)]
        verdicts, warning = self._judge(problem, {each: folders[each] for each in measured})
        for contender in measured:
            row = sampling.measurement(contender, residents[contender], alone)
            self._record(rows, _judged(row, verdicts.get(contender), warning))
        for folder in folders.values():
            shutil.rmtree(folder)
        return again

    def _numbers_folder(self, at: int) -> Path:
        folder = self._folder / f"numbers-{at}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _prepare(
        self, problem: Problem, folders: dict[Contender, Path], rows: dict[Contender, Row], fail: Fail
    ) -> dict[Contender, Prepared]:
        """Prepare all; when one takes its worker down, those that shared the worker are prepared anew."""
        ready: dict[Contender, Prepared] = {}
        waiting = list(folders)
        while waiting:
            contender = waiting.pop(0)
            reply = self._ask_prepare(problem, contender, folders[contender])
            if isinstance(reply, Prepared):
                ready[contender] = reply
            elif isinstance(reply, Unsupported):
                self._record(rows, Skip(problem=problem, contender=contender, reason=reply.reason))
            else:
                fail(contender, reply)
                seat = self._fleet.seat(contender)
                lost = [each for each in ready if self._fleet.seat(each) == seat]
                for each in lost:
                    del ready[each]
                waiting = lost + waiting
        return {contender: ready[contender] for contender in folders if contender in ready}

    def _ask_prepare(self, problem: Problem, contender: Contender, folder: Path) -> Prepared | Unsupported | Failed:
        self._listener.stage(problem, f"{contender.name}: compile, check, warm up")
        request = Prepare(
            case=Case(problem=problem, contender=contender),
            passes=self.settings.passes,
            folder=str(folder),
            warmup_budget_s=self.settings.budget_s * WARMUP_SHARE,
        )
        reply = self._fleet.ask(contender, request)
        return reply if isinstance(reply, Prepared | Unsupported | Failed) else unexpected(reply)

    def _prepare_again(self, problem: Problem, folders: dict[Contender, Path]) -> Again:
        return lambda contender: self._ask_prepare(problem, contender, folders[contender])

    def _repeat(self, contender: Contender, folder: Path, fail: Fail) -> bool:
        """Have the numbers written once more after the last sample: what was timed must be what is judged."""
        reply = self._fleet.ask(contender, Repeat(contender=contender, folder=str(folder)))
        if not isinstance(reply, Repeated):
            fail(contender, reply if isinstance(reply, Failed) else unexpected(reply))
        return isinstance(reply, Repeated)

    def _judge(
        self, problem: Problem, folders: dict[Contender, Path]
    ) -> tuple[dict[Contender, Agreement], tuple[Notice, ...]]:
        if not folders:
            return {}, ()
        self._listener.stage(problem, "numbers against the float64 oracle")
        budget_s = self.settings.budget_s * len(folders) * JUDGE_SHARE
        try:
            log = self._folder / "judge.log"
            return judging.agreements(problem, self.settings, folders, log, budget_s), ()
        except judging.JudgeFailed as error:
            return {}, (Notice(code="not-judged", text=f"the agreement check failed: {error}"),)

    def _resident(self, problem: Problem, contender: Contender, ready: Prepared) -> Residents | None:
        """Where a compiler's buffer assignment stands in for allocation events, what a fresh process really grew by."""
        assigned = [memory.buffer_bytes for memory in ready.memory.values() if memory.buffer_bytes is not None]
        if not assigned or max(assigned) < PROBE_FROM_BYTES or not can_measure():
            return None
        self._listener.stage(problem, f"{contender.name}: resident memory of a fresh process")
        request = Resident(case=Case(problem=problem, contender=contender), passes=self.settings.passes)
        reply = self._fleet.ask_fresh(contender, request, environment.GIVE_BACK)
        return reply if isinstance(reply, Residents) else None

    def _failure(self, problem: Problem, contender: Contender, failed: Failed) -> Failure:
        return Failure(
            problem=problem,
            contender=contender,
            status=failed.status,
            stage=failed.stage,
            reason=failed.reason,
            predicted_bytes=self._needed(problem),
            refused_bytes=failed.refused_bytes,
            device_bytes=max((each.total_bytes for each in self._fleet.reports.values()), default=0) or None,
        )


def _judged(row: Measurement, agreement: Agreement | None, warnings: tuple[Notice, ...]) -> Measurement:
    return replace(row, agreement=agreement, warnings=row.warnings + warnings)
