"""Rows -> whose memory inside one iteration stands beside whose: a panel for each pass and framework of one problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from compare.findings.analysis import measurements
from compare.findings.summary import trusted
from compare.maths.prediction import score_bytes
from compare.memory_curve import MemoryCurve
from compare.records import Contender, Measurement, PassName, PassResult, Problem, Row

ORDER: tuple[PassName, ...] = ("step", "forward", "backward")  # what holds both comes first
MOST_LINES = 6  # of a panel


class Line(msgspec.Struct, frozen=True):
    """One contender's memory inside one iteration of a pass, beside the pass's row, whose peak may lie higher."""

    contender: Contender
    result: PassResult
    curve: MemoryCurve


class Panels(msgspec.Struct, frozen=True):
    """The panels of one problem; ``untold``: why contenders have no line, by reason."""

    problem: Problem
    lines: dict[tuple[PassName, str], list[Line]]
    untold: dict[str, list[Contender]]

    @property
    def passes(self) -> list[PassName]:
        """Those that have a line."""
        return [name for name in ORDER if any(name == shown for shown, _ in self.lines)]

    @property
    def homes(self) -> list[str]:
        """The frameworks that have a line."""
        return list(dict.fromkeys(home for _, home in self.lines))

    @property
    def sources(self) -> dict[str, list[str]]:
        """Who says so, and of which frameworks."""
        found: dict[str, dict[str, None]] = {}
        for (_, home), own in self.lines.items():
            for line in own:
                found.setdefault(line.curve.source, {})[home] = None
        return {source: list(homes) for source, homes in found.items()}


def panels(rows: Iterable[Row]) -> Panels | None:
    """Those of the problem for which most contenders have a curve, of several the largest; None where none has one."""
    problems: dict[Problem, list[Measurement]] = {}
    for row in filter(trusted, measurements(rows)):
        problems.setdefault(row.problem, []).append(row)
    found = [of_problem(problem, own) for problem, own in problems.items()]
    return max((each for each in found if each.lines), key=weight, default=None)


def weight(found: Panels) -> tuple[int, int]:
    """How much there is to see."""
    contenders = {line.contender for own in found.lines.values() for line in own}
    return len(contenders), found.problem.layers * score_bytes(found.problem)


def of_problem(problem: Problem, rows: Sequence[Measurement]) -> Panels:
    """The panels of the rows of one problem."""
    lines: dict[tuple[PassName, str], list[Line]] = {}
    untold: dict[str, list[Contender]] = {}
    for row in rows:
        for name, result in row.passes.items():
            curve = result.memory_over_time
            if curve and not curve.reason:
                lines.setdefault((name, row.contender.home), []).append(Line(row.contender, result, curve))
            elif curve and row.contender not in untold.setdefault(curve.reason, []):
                untold[curve.reason].append(row.contender)
    return Panels(problem, {key: own[:MOST_LINES] for key, own in lines.items()}, untold)
