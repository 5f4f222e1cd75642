"""A study from plan to report: the run record, the results file, the progress display, the tables at the end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from types import FrameType, TracebackType
from typing import NamedTuple

from msgspec.structs import replace
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from compare.__version__ import VERSION
from compare.analysis import side_by_side
from compare.analysis.roofline import link_line, rate_line
from compare.analysis.text import one_line
from compare.machine import environment
from compare.measure import rates as rating
from compare.measure.runner import Runner, failed_logs
from compare.plan import cases
from compare.plan.cases import Plan
from compare.render import terminal
from compare.results import rows as processes
from compare.results import store
from compare.schema.records import SCHEMA_VERSION, DeviceRate, DeviceReport, LinkRate, Node, Problem, Row, Run


class Display:
    """Shows the case at hand, what is done, what is left, and finished rows as they finish."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan, self._console = plan, console
        times = plan.settings.processes
        self._planned_s = self._left_s = times * sum(map(self._cost_s, plan.problems))
        self._opened = self._begin = self._problem_began = perf_counter()
        self._last = ""
        self._text = "measuring bandwidth and matmul throughput"
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("problems,"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            expand=True,
        )
        self._task = self._progress.add_task("", total=len(plan.problems) * times, left="")
        # Twice a second: a faster display would take a share of the CPU that is being measured.
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)

    def _render(self) -> Group:
        self._progress.update(self._task, left=self.remaining())
        return Group(Text(self._text, no_wrap=True, overflow="ellipsis", style="bold"), self._progress)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, report: DeviceReport) -> None:
        """A backend is up."""
        versions = " ".join(f"{name} {version}" for name, version in report.versions.items())
        self._console.print(
            f"{report.backend}: {report.device_name} ({versions}), import {report.import_s:.1f} s, "
            f"device start {report.start_s:.1f} s",
            highlight=False,
        )

    def rated(self, rates: Sequence[DeviceRate]) -> None:
        """The device's rates as a backend reached them; the pace of the problems counts from here."""
        self._begin = self._problem_began = perf_counter()
        for rate in rates:
            self._console.print(one_line(f"{rate.backend}, {rate_line(rate)}"), highlight=False, markup=False)

    def linked(self, link: LinkRate) -> None:
        """Bandwidth between devices."""
        self._begin = self._problem_began = perf_counter()
        self._console.print(one_line(f"{link.backend}, {link_line(link)}"), highlight=False, markup=False)

    def stage(self, problem: Problem, text: str) -> None:
        """The current stage."""
        text = one_line(text)
        self._text = f"{problem.label}: {text}"
        quiet = "rounds " in text and "rounds " in self._last
        if not self._console.is_terminal and not quiet:
            self._console.print(
                f"{perf_counter() - self._opened:.0f} s [{self._number(problem)}/{len(self._plan.problems)}] "
                f"{problem.label}: {text}",
                markup=False,
                soft_wrap=True,
            )
        self._last = text

    def _cost_s(self, problem: Problem) -> float:
        return cases.case_s(problem, self._plan.settings) * len(self._plan.contenders)

    def say(self, text: str) -> None:
        """Progress, shown only on a terminal."""
        self._text = text

    def _number(self, problem: Problem) -> int:
        return self._plan.problems.index(problem) + 1

    def finished(self, problem: Problem, rows: Sequence[Row], run: Run) -> None:
        """A problem is done in one process, in all where there are rows: a better guess of the time that is left."""
        self._left_s -= self._cost_s(problem)
        self._problem_began = perf_counter()
        if rows:
            terminal.show([side_by_side.of_problem(run, rows)], self._console)
        self._progress.update(self._task, advance=1)

    def remaining(self) -> str:
        """Estimated time left: planned time, scaled by the pace so far."""
        left_s, done_s = self._left_s, self._planned_s - self._left_s
        pace = (self._problem_began - self._begin) / done_s if done_s else 1.0
        left_s = max(0.0, left_s * pace - (perf_counter() - self._problem_began))
        minutes, seconds = divmod(round(left_s), 60)
        return f"about {minutes}:{seconds:02d} left"


class Study:
    """Listens to a run: appends its rows to the results file, and passes everything on to the display.

    It keeps the rows of unfinished problems alone, so that a long sweep needs no more memory than a short one.
    """

    def __init__(self, plan: Plan, cache: Path, display: Display) -> None:
        self._display = display
        self._log = store.Log(plan.out / store.RESULTS)
        self._nodes: dict[str, Node] = {}
        self._plan, self._unfinished = plan, dict[Problem, list[Row]]()
        self.run = run_record(plan, cache)
        self._log.append(self.run)

    def started(self, report: DeviceReport) -> None:
        """A backend is up: add its metadata to the run record."""
        if report.backend in [known.backend for known in self.run.backends]:  # in another process
            return
        self.run = replace(self.run, backends=(*self.run.backends, report))
        self._log.append(self.run)
        self._display.started(report)

    def rated(self, rates: tuple[DeviceRate, ...]) -> None:
        """Add bandwidth and matmul throughput to the run record."""
        self.run = replace(self.run, rates=(*self.run.rates, *rates))
        self._log.append(self.run)
        self._display.rated(rates)

    def linked(self, link: LinkRate) -> None:
        """Add bandwidth between devices to the run record."""
        self.run = replace(self.run, links=(*self.run.links, link))
        self._log.append(self.run)
        self._display.linked(link)

    def stage(self, problem: Problem, text: str) -> None:
        """The current stage."""
        self._display.stage(problem, text)

    def say(self, text: str) -> None:
        """Progress, shown only on a terminal."""
        self._display.say(text)

    def recorded(self, row: Row) -> None:
        """A finished case is written before anything else can happen."""
        self._log.append(row)
        self._unfinished.setdefault(row.problem, []).append(row)

    def finished(self, problem: Problem, process: int) -> None:
        """A problem is finished in one process; shown once it is so in all."""
        last = process == self.run.settings.processes
        rows = ordered(self._unfinished.pop(problem, ()), self._plan) if last else ()
        self._display.finished(problem, rows, self.run)

    def placed(self, found: Node) -> None:
        """New metadata of a cluster node."""
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
    """The results of a run: a row for each case, and the rows of each process."""

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
        run, rows = store.lines(plan.out / store.RESULTS)
        for name, log in failed_logs(Path(folder), () if interrupted else rows):
            shutil.copy(log, plan.out / name)
        return Measured(interrupted, run, ordered(rows, plan), rows)


def execute(plan: Plan, folder: Path, study: Study) -> None:
    """Measure everything, on a cluster where there is one."""
    if plan.cluster_cpus:
        from compare.measure.ray_sweep import Sweep  # Ray is an extra

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
    """SIGTERM ends a run as Ctrl-C does: workers stopped, rows kept, report written."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
