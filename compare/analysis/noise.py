"""The warnings of all rows, and the rows without numbers with their reasons."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from compare.analysis.notices import worded
from compare.results.rows import measurements, outcome_of
from compare.schema.records import (
    Contender,
    Measurement,
    Notice,
    Problem,
    Row,
)


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
