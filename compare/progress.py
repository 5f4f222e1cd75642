"""What a person sees while the run goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from compare import cases
from compare.cases import Plan
from compare.records import DeviceReport, Problem, Row
from compare.report.terminal import problem_table


class Display:
    """Shows the case at hand, what is done, what is left, and finished rows as they finish."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan, self._console = plan, console
        self._left_s = {each: cases.case_s(each, plan.settings) * len(plan.contenders) for each in plan.problems}
        self._planned_s = sum(self._left_s.values())
        self._begin = perf_counter()
        self._last = ""
        self._progress = Progress(
            TextColumn("[bold]{task.fields[what]}", table_column=None),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("problems"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=len(plan.problems), what="starting", left="")

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, report: DeviceReport) -> None:
        """A backend is up."""
        versions = " ".join(f"{name} {version}" for name, version in report.versions.items())
        self._console.print(
            f"{report.backend}: {report.device_name} ({versions}), import {report.import_s:.1f} s, "
            f"device start {report.start_s:.1f} s",
            highlight=False,
        )

    def stage(self, problem: Problem, text: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, what=f"{problem.label}: {text}", left=self.remaining())
        quiet = text.startswith("round") and self._last.startswith("round")
        if not self._console.is_terminal and not quiet:
            self._console.print(
                f"[{self._number(problem)}/{len(self._plan.problems)}] {problem.label}: {text}", markup=False
            )
        self._last = text

    def _number(self, problem: Problem) -> int:
        return self._plan.problems.index(problem) + 1

    def finished(self, rows: Sequence[Row]) -> None:
        """A problem is done: its rows, and a better guess of the time that is left."""
        self._left_s.pop(rows[0].problem, None)
        self._console.print(problem_table(rows, self._console.width))
        self._progress.update(self._task, advance=1, left=self.remaining())

    def remaining(self) -> str:
        """The planned time of what is left, corrected by how the plan has held so far."""
        left = sum(self._left_s.values())
        planned_so_far = self._planned_s - left
        pace = (perf_counter() - self._begin) / planned_so_far if planned_so_far else 1.0
        minutes, seconds = divmod(round(left * pace), 60)
        return f"about {minutes}:{seconds:02d} left"
