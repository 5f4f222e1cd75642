"""What disturbed a run: the warnings of its rows, and the rows without numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from compare.analysis import text as fmt
from compare.analysis.notices import worded
from compare.analysis.sections import Section, code, plain
from compare.results.rows import measurements, outcome_of
from compare.schema.records import Contender, Measurement, Notice, Problem, Row, Run

ORDER = 100
MOST_PROBLEMS = 3  # that a warning names


class Noted(msgspec.Struct, frozen=True):
    """One warning, and the rows that have it."""

    warning: Notice
    rows: tuple[Measurement, ...]


def warnings(rows: Iterable[Row]) -> list[Noted]:
    """The distinct warnings in order of first appearance."""
    found: dict[str, tuple[Notice, list[Measurement]]] = {}
    for row in measurements(rows):
        for warning in row.warnings:
            found.setdefault(worded(warning), (warning, []))[1].append(row)
    return [Noted(warning, tuple(hits)) for warning, hits in found.values()]


class Unmeasured(msgspec.Struct, frozen=True):
    """Problems of one contender that gave no numbers for one and the same reason."""

    contender: Contender
    outcome: str
    reason: str
    problems: tuple[Problem, ...]


def unmeasured(rows: Iterable[Row]) -> list[Unmeasured]:
    """Skips and failures, those with one contender, outcome and reason gathered into one line."""
    found: dict[tuple[Contender, str, str], list[Problem]] = {}
    for row in rows:
        if not isinstance(row, Measurement):
            found.setdefault((row.contender, outcome_of(row), row.reason), []).append(row.problem)
    return [Unmeasured(*key, tuple(problems)) for key, problems in found.items()]


def sections(_: Run, rows: Sequence[Row]) -> list[Section]:
    """The warnings, and why rows have no numbers."""
    return [
        listing("Warnings", [warning_line(noted) for noted in warnings(rows)]),
        listing("Skipped and failed", [unmeasured_line(line) for line in unmeasured(rows)]),
    ]


def listing(title: str, points: Sequence[str]) -> Section:
    """A section of points, or that there are none."""
    return Section(title, [] if points else ["None."], points=points, brief=points)


def warning_line(noted: Noted) -> str:
    """A warning, and which rows have it."""
    names = ", ".join(dict.fromkeys(code(row.contender.name) for row in noted.rows))
    labels = list(dict.fromkeys(row.problem.label for row in noted.rows))
    more = f" and {fmt.plural(len(labels) - MOST_PROBLEMS, 'problem')} more" if len(labels) > MOST_PROBLEMS else ""
    where = "; ".join(labels[:MOST_PROBLEMS]) + more
    return f"{plain(worded(noted.warning))} [{plain(noted.warning.code)}; {names}; {where}]"


def unmeasured_line(line: Unmeasured) -> str:
    """Why a contender has no numbers, and for which problems."""
    problems = "; ".join(problem.label for problem in line.problems)
    return f"{code(line.contender.name)} {plain(f'{line.outcome}: {line.reason}')} [{problems}]"
