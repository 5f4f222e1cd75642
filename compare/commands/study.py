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

from compare.__version__ import VERSION
from compare.circumstances import SCHEMA_VERSION, DeviceReport, Node, Run
from compare.commands.progress import Display
from compare.device_rate import DeviceRate, LinkRate
from compare.files import results
from compare.findings import processes
from compare.plan.cases import Plan
from compare.records import Problem, Row
from compare.run import rating
from compare.run.runner import Runner, failed_logs
from compare.worker import environment


class Study:
    """Listens to a run: appends its rows to the results file, and passes everything on to the display.

    It keeps the rows of unfinished problems alone, so that a long sweep needs no more memory than a short one.
    """

    def __init__(self, plan: Plan, cache: Path, display: Display) -> None:
        self._display = display
        self._log = results.Log(plan.out / results.RESULTS)
        self._nodes: dict[str, Node] = {}
        self._plan, self._unfinished = plan, dict[Problem, list[Row]]()
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

    def say(self, text: str) -> None:
        """What is going on, on a terminal."""
        self._display.say(text)

    def recorded(self, row: Row) -> None:
        """A finished case is written before anything else can happen."""
        self._log.append(row)
        self._unfinished.setdefault(row.problem, []).append(row)

    def finished(self, problem: Problem, process: int) -> None:
        """A problem is finished in one process; shown once it is so in all."""
        last = process == self.run.settings.processes
        self._display.finished(problem, ordered(self._unfinished.pop(problem, ()), self._plan) if last else ())

    def placed(self, found: Node) -> None:
        """What is known of a node of a cluster, once more of it is known."""
        known = self._nodes.get(found.name, found)
        backends = {each.backend: each for each in (*found.backends, *known.backends)}
        more = replace(
            known, backends=tuple(backends.values()), rates=known.rates or found.rates, links=known.links or found.links
        )
        if more != self._nodes.get(found.name):
            self._nodes[found.name] = more
            self._log.append(more)


def run_record(plan: Plan, cache: Path) -> Run:
    """The circumstances of the run, before any backend has started; nodes of a cluster have a host of their own."""
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
        host={} if plan.cluster_cpus else environment.host(),
        environment={"set": workers, "inherited": {} if plan.cluster_cpus else environment.relevant(os.environ)},
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
        study, interrupted = Study(plan, Path(folder), display), False
        try:
            execute(plan, Path(folder), study)
        except KeyboardInterrupt:
            interrupted = True
            console.print("interrupted: the finished rows are kept")
        run, rows = results.lines(plan.out / results.RESULTS)
        for name, log in failed_logs(Path(folder), () if interrupted else rows):
            shutil.copy(log, plan.out / name)
        return Measured(interrupted, run, ordered(rows, plan), rows)


def execute(plan: Plan, folder: Path, study: Study) -> None:
    """Measure everything, on a cluster where there is one."""
    if plan.cluster_cpus:
        from compare.cluster.sweep import Sweep  # Ray is an extra

        Sweep(plan, study, study.run.code).run()
        return
    for rates in rating.rated(plan, folder):
        study.rated(rates)
    for link in rating.linked(plan, folder):
        study.linked(link)
    Runner(plan, folder, study).run()


def ordered(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """A row for each case, problems and contenders as planned; within a problem those without numbers come last."""
    problems = {problem: at for at, problem in enumerate(plan.problems)}
    contenders = {contender: at for at, contender in enumerate(plan.contenders)}

    def place(row: Row) -> tuple[int, int, int]:
        return problems[row.problem], processes.rank(row), contenders[row.contender]

    return sorted(processes.joined(rows), key=place)


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
