"""What a person sees while the run goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from compare.circumstances import DeviceReport
from compare.device_rate import DeviceRate, LinkRate
from compare.plan import cases
from compare.plan.cases import Plan
from compare.records import Problem, Row
from compare.report.floor_words import link_line, rate_line
from compare.report.format import one_line
from compare.report.terminal import problem_table


class Display:
    """Shows the case at hand, what is done, what is left, and finished rows as they finish."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan, self._console = plan, console
        times = plan.settings.processes
        self._planned_s = self._left_s = times * sum(map(self._cost_s, plan.problems))
        self._opened = self._begin = self._problem_began = perf_counter()
        self._last = ""
        self._text = "starting; how fast does the device copy and multiply?"
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
        """How fast devices that share a sequence send to each other."""
        self._begin = self._problem_began = perf_counter()
        self._console.print(one_line(f"{link.backend}, {link_line(link)}"), highlight=False, markup=False)

    def stage(self, problem: Problem, text: str) -> None:
        """What is being done now."""
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
        """What is going on; seen on a terminal alone."""
        self._text = text

    def _number(self, problem: Problem) -> int:
        return self._plan.problems.index(problem) + 1

    def finished(self, problem: Problem, rows: Sequence[Row]) -> None:
        """A problem is done in one process, in all where there are rows: a better guess of the time that is left."""
        self._left_s -= self._cost_s(problem)
        self._problem_began = perf_counter()
        if rows:
            self._console.print(problem_table(rows, self._console.width, self._plan.settings))
        self._progress.update(self._task, advance=1)

    def remaining(self) -> str:
        """The planned time of what is left, by the pace of what is done, less what the problem at hand has had."""
        left_s, done_s = self._left_s, self._planned_s - self._left_s
        pace = (self._problem_began - self._begin) / done_s if done_s else 1.0
        left_s = max(0.0, left_s * pace - (perf_counter() - self._problem_began))
        minutes, seconds = divmod(round(left_s), 60)
        return f"about {minutes}:{seconds:02d} left"
