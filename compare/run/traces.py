"""``--trace``: of each problem a file that shows what its contenders ran, beside each framework's own profiles.

They are taken after the last sample, in turns like those of the samples, and disturb nothing that is measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from compare.records import Measurement, Problem
from compare.run import chrome
from compare.worker.messages import Begin, Begun, End, Ended, Failed, Reply, Request, Seen, Turn, Turned, Unsupported

FOLDER = "traces"
ITERATIONS = 5  # of each pass; the one nearest to their median is kept
TRIES = 3  # a profiler may lose events
LONGEST = 60  # characters of a contender in the name of a file
Ask = Callable[[Request], Reply]
Answer = TypeVar("Answer")


class Lost(Exception):
    """A worker did not do as it was asked, and why."""


class Album:
    """The traces of one problem; its file is written anew with each contender, so an interrupted run has one too."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self._problem, self._folder = problem, folder.absolute()
        self._kept: list[chrome.Kept] = []
        self._asked = 0

    def add(self, row: Measurement, ask: Ask) -> str:
        """Take the trace of a contender whose row is known; returns why a pass of it is missing, if one is."""
        self._asked += 1
        own = f"{file_name(self._problem)}-{self._asked}-{safe(row.contender.name)[-LONGEST:]}"
        try:
            self._folder.mkdir(exist_ok=True)
            seen = taken(row, ask, self._folder / own)
            ran = {each.pass_name: each.ran for each in seen if each.ran}
            self._kept.append(chrome.Kept(row.contender, row.passes, ran))
            (self._folder / f"{file_name(self._problem)}.json").write_bytes(chrome.render(self._problem, self._kept))
        except (Lost, OSError) as error:
            return str(error)
        return "; ".join(reason for each in seen for reason in each.refused.values())


def taken(row: Measurement, ask: Ask, own: Path) -> tuple[Seen, ...]:
    """What the profiler saw of each pass, after some tries where it could not be true.  Raises Lost."""
    count = {row.contender.name: dict.fromkeys(row.passes, ITERATIONS)}
    for _ in range(TRIES):
        answer(ask(Begin(own=str(own))), Begun)
        for name in row.passes:
            turn = Turn(
                contender=row.contender, pass_name=name, count=ITERATIONS, round=0, profiled=True, after_other=True
            )
            answer(ask(turn), Turned)
        seen = answer(ask(End(count=count)), Ended).seen
        if not any(each.refused for each in seen):
            break
    return seen


def answer(reply: Reply, expected: type[Answer]) -> Answer:
    """The reply.  Raises Lost where it is another."""
    if not isinstance(reply, expected):
        raise Lost(reply.reason if isinstance(reply, Failed | Unsupported) else f"got {type(reply).__name__}")
    return reply


class Filed(NamedTuple):
    """A problem whose trace is there: its file, and each contender's own profile, as paths from the report's folder."""

    problem: Problem
    file: str
    own: dict[str, str]


def filed(problems: Iterable[Problem], out: Path) -> list[Filed]:
    """The traces that lie in a folder of results."""
    found = []
    for problem in dict.fromkeys(problems):
        name, folder = file_name(problem), out / FOLDER
        if (folder / f"{name}.json").is_file():
            own = {path.name: path for path in folder.glob(f"{name}-*.json")}
            own |= {path.parent.name: path for path in folder.glob(f"plugins/profile/{name}-*/*")}
            called = {each.removeprefix(f"{name}-"): own[each].relative_to(out).as_posix() for each in sorted(own)}
            found.append(Filed(problem, f"{FOLDER}/{name}.json", called))
    return found


def file_name(problem: Problem) -> str:
    """A problem as the name of a file, without its ending; the seed is not in it, which a run has only one of."""
    return safe(problem.label)


def safe(text: str) -> str:
    """Letters, digits, dots and dashes alone: a name on every file system, and in a link."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text.replace("=", "")).strip("-.")
