"""One study from plan to report: the run record, the results file, the progress display, the tables at the end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from msgspec.structs import replace
from rich.console import Console

from compare import environment, processes, rating, results
from compare.__version__ import VERSION
from compare.cases import Plan
from compare.circumstances import SCHEMA_VERSION, DeviceReport, Run
from compare.device_rate import DeviceRate, LinkRate
from compare.progress import Display
from compare.records import Failure, Problem, Row
from compare.runner import Runner


class Study:
    """Listens to a run: keeps its rows, appends them to the results file, and passes everything on to the display."""

    def __init__(self, plan: Plan, cache: Path, display: Display) -> None:
        self._display = display
        self._log = results.Log(plan.out / results.RESULTS)
        self.rows: list[Row] = []
        self.run = run_record(plan, cache)
        self._log.append(self.run)

    def started(self, report: DeviceReport) -> None:
        """A backend is up: what it says of itself belongs to the run record."""
        if report.backend in [known.backend for known in self.run.backends]:  # in another process
            return
        self.run = replace(self.run, backends=(*self.run.backends, report))
        self._log.append(self.run)
        self._display.started(report)

    def rated(self, rates: tuple[DeviceRate, ...]) -> None:
        """How fast a backend copies and multiplies belongs to the run record too."""
        self.run = replace(self.run, rates=(*self.run.rates, *rates))
        self._log.append(self.run)
        self._display.rated(rates)

    def linked(self, link: LinkRate) -> None:
        """How fast devices send to each other does so too."""
        self.run = replace(self.run, links=(*self.run.links, link))
        self._log.append(self.run)
        self._display.linked(link)

    def stage(self, problem: Problem, text: str) -> None:
        """What is being done now."""
        self._display.stage(problem, text)

    def recorded(self, row: Row) -> None:
        """A finished case is written before anything else can happen."""
        self._log.append(row)
        self.rows.append(row)

    def finished(self, problem: Problem, process: int) -> None:
        """A problem is finished in one process; shown once it is so in all."""
        rows = processes.joined(row for row in self.rows if row.problem == problem)
        self._display.finished(rows if process == self.run.settings.processes else ())

    def ordered(self, plan: Plan) -> list[Row]:
        """A row for each case in the order of the plan."""
        problems, contenders = list(plan.problems), list(plan.contenders)
        rows = processes.joined(self.rows)
        return sorted(rows, key=lambda row: (problems.index(row.problem), contenders.index(row.contender)))


def run_record(plan: Plan, cache: Path) -> Run:
    """The circumstances of the run, before any backend has started."""
    workers = {
        name: value.replace(str(cache), "<run>") for name, value in environment.fair(plan.settings, cache).items()
    }
    return Run(
        schema_version=SCHEMA_VERSION,
        program_version=VERSION,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=plan.command,
        settings=plan.settings,
        code=environment.code(contender.variant for contender in plan.contenders),
        planned_cases=len(plan.problems) * len(plan.contenders),
        host=environment.host(),
        environment={"set": workers, "inherited": environment.relevant(os.environ)},
    )


class Measured(NamedTuple):
    """What a run gave: a row for each case, and the rows of each process by themselves."""

    interrupted: bool
    run: Run
    rows: list[Row]
    by_process: list[Row]


def measure(plan: Plan, console: Console) -> Measured:
    """Run the plan; an interrupted run has the rows that were finished."""
    if plan.note:
        console.print(plan.note, markup=False)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder, Display(plan, console) as display, terminable():
        study = Study(plan, Path(folder), display)
        try:
            for rates in rating.rated(plan, Path(folder)):
                study.rated(rates)
            for link in rating.linked(plan, Path(folder)):
                study.linked(link)
            Runner(plan, Path(folder), study).run()
        except KeyboardInterrupt:
            console.print("interrupted: the finished rows are kept")
            return Measured(True, study.run, study.ordered(plan), study.rows)
        keep_logs(Path(folder), plan.out, study.rows)
        return Measured(False, study.run, study.ordered(plan), study.rows)


def keep_logs(folder: Path, out: Path, rows: Sequence[Row]) -> None:
    """Where a case failed, what its worker and the libraries in it said is kept beside the results."""
    if any(isinstance(row, Failure) for row in rows):
        for log in folder.glob("*/*.log"):
            shutil.copy(log, out / f"{log.parent.name}-{log.name}")


@contextmanager
def terminable() -> Iterator[None]:
    """A polite kill ends a run as Ctrl-C does: workers stopped, rows kept, report written."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
