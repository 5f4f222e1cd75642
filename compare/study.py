"""One study from plan to report: the run record, the results file, the progress display, the tables at the end."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from msgspec.structs import replace
from rich.console import Console

from compare import environment, results
from compare.__version__ import VERSION
from compare.cases import Plan
from compare.progress import Display
from compare.records import SCHEMA_VERSION, DeviceReport, Problem, Row, Run
from compare.report import markdown, terminal
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
        self.run = replace(self.run, backends=(*self.run.backends, report))
        self._log.append(self.run)
        self._display.started(report)

    def stage(self, problem: Problem, text: str) -> None:
        """What is being done now."""
        self._display.stage(problem, text)

    def finished(self, rows: Sequence[Row]) -> None:
        """The rows of a finished problem."""
        for row in rows:
            self._log.append(row)
        self.rows += rows
        self._display.finished(rows)


def run_record(plan: Plan, cache: Path) -> Run:
    """The circumstances of the run, before any backend has started."""
    workers = environment.fair(plan.settings, cache)
    return Run(
        schema_version=SCHEMA_VERSION,
        program_version=VERSION,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=plan.command,
        settings=plan.settings,
        host=environment.host(),
        environment={"set": workers, "inherited": environment.relevant(os.environ)},
    )


def measure(plan: Plan, console: Console) -> tuple[bool, Run, list[Row]]:
    """Run the plan; returns whether it was interrupted, the run record, and the rows that were finished."""
    with tempfile.TemporaryDirectory(prefix="compare-") as folder, Display(plan, console) as display, terminable():
        study = Study(plan, Path(folder), display)
        try:
            Runner(plan, Path(folder), study).run()
        except KeyboardInterrupt:
            console.print("interrupted: the finished rows are kept")
            return True, study.run, study.rows
        return False, study.run, study.rows


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


def publish(run: Run, rows: Sequence[Row], out: Path, console: Console) -> None:
    """The tables on the terminal and report.md beside the results."""
    (out / results.REPORT).write_text(markdown.render(run, rows), encoding="utf-8")
    terminal.render(run, rows, console)
    console.print(f"\n{out / results.RESULTS}\n{out / results.REPORT}", highlight=False)
