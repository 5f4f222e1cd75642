"""Rows -> what the plots draw: curves over the sequence length, memory inside one iteration, time beside memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log

import msgspec
from msgspec.structs import replace

from compare.analysis.roofline import Reached
from compare.analysis.solutions import highest
from compare.maths.prediction import score_bytes
from compare.results.rows import measurements
from compare.schema.records import PASSES, Contender, Measurement, MemoryCurve, PassName, PassResult, Problem, Row
from compare.stats.estimates import Estimate, device_time, trusted

Value = tuple[Estimate, str]  # and who says so: of two ways of weighing no slope is formed
Quantity = Callable[[Measurement, PassName], Value | None]


class Family(msgspec.Struct, frozen=True):
    """Rows whose problems differ in sequence length and head size alone."""

    problem: Problem
    rows: tuple[Measurement, ...]

    @property
    def lengths(self) -> list[int]:
        """The sequence lengths, shortest first."""
        return sorted({row.problem.q_len for row in self.rows})

    @property
    def head_dims(self) -> list[int]:
        """The head sizes, smallest first."""
        return sorted({row.problem.head_dim for row in self.rows})


class Curve(msgspec.Struct, frozen=True):
    """One contender's points ``(seq_len, value)``; ``slope`` is the exponent between the two longest."""

    contender: Contender
    points: tuple[tuple[int, Estimate], ...]
    slope: float | None


def families(rows: Iterable[Row]) -> list[Family]:
    """The families of rows whose numbers agree and that have as many keys as queries, the one with most rows first."""
    groups: dict[Problem, list[Measurement]] = {}
    for row in filter(trusted, measurements(rows)):
        if row.problem.q_len == row.problem.kv_len:
            groups.setdefault(replace(row.problem, q_len=1, kv_len=1, head_dim=1), []).append(row)
    found = [Family(problem, tuple(group)) for problem, group in groups.items()]
    return sorted(found, key=lambda family: -len(family.rows))


def spread(family: Family, most: int) -> Family:
    """The family at so many of its lengths, the shortest and the longest among them, evenly by their place between."""
    lengths = family.lengths
    if len(lengths) <= most:
        return family
    kept = {lengths[at * (len(lengths) - 1) // (most - 1)] for at in range(most)}
    return replace(family, rows=tuple(row for row in family.rows if row.problem.q_len in kept))


def curves(rows: Iterable[Measurement], name: PassName, quantity: Quantity) -> list[Curve]:
    """A curve for each contender that has the quantity, of rows that differ in their length alone."""
    found: dict[Contender, list[tuple[int, Value]]] = {}
    for row in rows:
        value = quantity(row, name) if name in row.passes else None
        if value is not None:
            found.setdefault(row.contender, []).append((row.problem.q_len, value))
    return [curve(contender, sorted(points, key=lambda each: each[0])) for contender, points in found.items()]


def curve(contender: Contender, points: Sequence[tuple[int, Value]]) -> Curve:
    """One contender's, from its points in the order of their lengths."""
    return Curve(contender, tuple((length, value) for length, (value, _) in points), slope(points[-2:]))


def slope(points: Sequence[tuple[int, Value]]) -> float | None:
    """The exponent p of value ~ seq_len**p between two points; None of one, or of two that were weighed differently."""
    if len(points) < 2 or points[0][1][1] != points[1][1][1]:
        return None
    (short, (less, _)), (long, (more, _)) = points
    return (log(more.median) - log(less.median)) / (log(long) - log(short))


def time_s(row: Measurement, name: PassName) -> Value:
    """Device time."""
    return device_time(row.passes[name]), ""


def peak_bytes(row: Measurement, name: PassName) -> Value | None:
    """The peak, which is counted and has no interval; none at all has no place on a logarithmic axis."""
    result = row.passes[name]
    exactly = Estimate(result.peak_bytes, result.peak_bytes, result.peak_bytes, 1)
    return (exactly, result.peak_source) if result.peak_bytes else None


def roofline_share(reached: Iterable[Reached]) -> Quantity:
    """The roofline bound over device time: 1 is as fast as the count of the variant's bytes and FLOPs allows."""
    bounds = {(id(each.row), each.pass_name): each.achieved.bound_s for each in reached if each.achieved}

    def share(row: Measurement, name: PassName) -> Value | None:
        time, bound_s = device_time(row.passes[name]), bounds.get((id(row), name))
        if bound_s is None or not time.low:
            return None
        return Estimate(bound_s / time.median, bound_s / time.high, bound_s / time.low, time.rounds), ""

    return share


PANEL_ORDER: tuple[PassName, ...] = ("step", "forward", "backward")  # what holds both comes first
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
        return [name for name in PANEL_ORDER if any(name == shown for shown, _ in self.lines)]

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


Sizes = tuple[object, ...]


class Placed(msgspec.Struct, frozen=True):
    """One row by its time and its highest peak; ``beaten`` where another is surely faster and needs no more."""

    row: Measurement
    time: Estimate
    peak_bytes: int
    beaten: bool


class Front(msgspec.Struct, frozen=True):
    """All rows of one size, whatever their dtype and mask, by one pass."""

    problem: Problem
    pass_name: PassName
    placed: tuple[Placed, ...]

    @property
    def contenders(self) -> list[Contender]:
        """Who stands there."""
        return list(dict.fromkeys(each.row.contender for each in self.placed))


def fronts(rows: Iterable[Row]) -> list[Front]:
    """A front for each size and function with at least two rows, the one with most scores first."""
    groups: dict[Sizes, list[Measurement]] = {}
    for row in filter(trusted, measurements(rows)):
        groups.setdefault(sizes(row.problem), []).append(row)
    found = [front(group) for group in groups.values() if len(group) > 1]
    return sorted(filter(None, found), key=lambda each: -each.problem.layers * score_bytes(each.problem))


def sizes(problem: Problem) -> Sizes:
    """All of a problem but its dtype and precision, which are ways of computing one function."""
    shape = (problem.batch, problem.q_len, problem.kv_len, problem.heads, problem.kv_heads, problem.head_dim)
    return (*shape, problem.mask, problem.layers, problem.layout, problem.devices, problem.seed)


def front(rows: Sequence[Measurement]) -> Front | None:
    """The rows by the longest pass that all of them have."""
    shared = [name for name in PASSES if all(name in row.passes for row in rows)]
    if not shared:
        return None
    name = shared[-1]
    points = [(row, device_time(row.passes[name]), peak(row)) for row in rows]
    placed = [
        Placed(row, time, size, any(surely(time, size, other, less) for _, other, less in points))
        for row, time, size in points
    ]
    return Front(rows[0].problem, name, tuple(placed))


def surely(time: Estimate, size: int, other: Estimate, less: int) -> bool:
    """Whether the other one's interval ends before this one's begins, and it needs no more memory."""
    return other.high < time.low and less <= size


def peak(row: Measurement) -> int:
    """The highest peak of the passes."""
    found = highest(row)
    return found.peak_bytes if found else 0
