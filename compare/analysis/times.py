"""Who is faster: device times compared within each problem, and how they spread over the problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from statistics import median
from typing import NamedTuple

import msgspec

from compare.analysis import text as fmt
from compare.machine.load import BUSY_MACHINE
from compare.results.rows import by_contender, by_problem, measurements, passes_of
from compare.schema.records import PASSES, Contender, Measurement, PassName, Problem, Row, Settings
from compare.stats.estimates import (
    WIDENED_FROM,
    Estimate,
    device_time,
    ratio,
    reference_of,
    trusted,
    wall_ratio,
)
from compare.stats.verdicts import NEAR, VERDICTS, Verdict, too_near, verdict


def undecided(each: Compared, row: Measurement, reference: Measurement) -> str:
    """Why there is no verdict."""
    if each.ratio.low <= 1 <= each.ratio.high:
        return "The interval of the ratio holds 1"
    busy = any(notice.code == BUSY_MACHINE for one in (row, reference) for notice in one.warnings)
    return "Other processes used too much of the CPUs" if busy else "The processes lie too far apart"


class Compared(msgspec.Struct, frozen=True):
    """One contender against the reference of its problem, in one pass."""

    problem: Problem
    contender: Contender
    reference: Contender
    pass_name: PassName
    ratio: Estimate
    verdict: Verdict
    wall: Estimate

    @property
    def wall_disagrees(self) -> bool:
        """Whether the wall clock says the opposite of what device time says."""
        return {"FASTER": "SLOWER", "SLOWER": "FASTER"}.get(self.verdict) == verdict(self.wall, 0.0)


def compared(rows: Iterable[Row], same_within: float) -> list[Compared]:
    """Every comparison that is fair, in the order of the rows."""
    return [each for problem, group in by_problem(rows) for each in _of_problem(problem, group, same_within)]


def _of_problem(problem: Problem, group: Sequence[Row], same_within: float) -> Iterable[Compared]:
    rows = measurements(group)
    reference = reference_of(rows)
    for row in rows:
        for name in PASSES:
            relative = ratio(row, reference, name)
            if relative and reference:
                found = verdict(relative, same_within)
                by_wall = wall_ratio(row.passes[name], reference.passes[name])
                yield Compared(problem, row.contender, reference.contender, name, relative, found, by_wall)


def counts(found: Iterable[Compared]) -> dict[tuple[Contender, PassName], Counter[Verdict]]:
    """How often each verdict fell, per contender and pass."""
    tally: dict[tuple[Contender, PassName], Counter[Verdict]] = {}
    for each in found:
        tally.setdefault((each.contender, each.pass_name), Counter())[each.verdict] += 1
    return tally


class Spread(msgspec.Struct, frozen=True):
    """Fastest, median and slowest of the device-time medians of one pass over the problems, in seconds.

    The median stands where the seed printed an average: over problems of unlike size an average is the largest one.
    """

    contender: Contender
    pass_name: PassName
    problems: int
    fastest_s: float
    median_s: float
    slowest_s: float
    fastest: Problem
    slowest: Problem


def spreads(rows: Iterable[Row]) -> list[Spread]:
    """The spread of each pass of each contender, over the rows whose numbers agree."""
    good = {contender: [r for r in measurements(group) if trusted(r)] for contender, group in by_contender(rows)}
    return [
        spread(contender, name, [row for row in group if name in row.passes])
        for contender, group in good.items()
        for name in passes_of(group)
    ]


def spread(contender: Contender, name: PassName, rows: Sequence[Measurement]) -> Spread:
    """The spread of one pass over at least one row of one contender."""
    times = [(device_time(row.passes[name]).median, row.problem) for row in rows]
    (low, fastest), (high, slowest) = min(times, key=lambda t: t[0]), max(times, key=lambda t: t[0])
    return Spread(contender, name, len(times), low, median(time for time, _ in times), high, fastest, slowest)


class Extent(NamedTuple):
    """Up to ``most`` rows are shown whole; of more than that so many as ``of_more`` has room for."""

    most: int
    of_more: int


def first(rows: Sequence[Row], extent: Extent) -> list[Row]:
    """The rows of the first problems, as many whole ones as there is room for, at least one."""
    if len(rows) <= extent.most:
        return list(rows)
    shown: list[Row] = []
    for _, group in by_problem(rows):
        if shown and len(shown) + len(group) > extent.of_more:
            break
        shown += group
    return shown


def left_out(rows: Sequence[Row], extent: Extent) -> str:
    """In words, what ``first`` leaves out; empty where that is nothing."""
    shown = first(rows, extent)
    if len(shown) == len(rows):
        return ""
    problems, all_problems = (len({row.problem for row in each}) for each in (shown, rows))
    return (
        f"the first {problems} of {all_problems} problems ({len(shown)} of {len(rows)} rows), and all that is said "
        "here is of these; as CSV a report has all rows"
    )


MOST_TURNED = 3
WALL_NOTE = (
    "By the wall, which holds Python, dispatch and the gaps between kernels too, these are the other way round; on a "
    "CPU PyTorch's device time holds its dispatch and JAX's does not:"
)


def verdict_lines(found: Sequence[Compared]) -> list[str]:
    """How often each contender was what, pass by pass, in words."""
    lines = []
    for (contender, name), tally in counts(found).items():
        words = ", ".join(f"{tally[word]} {word}" for word in VERDICTS if tally[word])
        lines.append(f"{contender.name}, {name}: {words} (of {fmt.plural(sum(tally.values()), 'problem')})")
    return lines


def process_note(found: Sequence[Compared]) -> str:
    """How far the processes differ, in words."""
    spreads = {each: max(each.ratio.by_process) / min(each.ratio.by_process) - 1 for each in found}
    widest = max(found, key=lambda each: spreads[each])
    count = max(len(each.ratio.by_process) for each in found)
    most = "up to " if any(len(each.ratio.by_process) < count for each in found) else ""
    where = f"{widest.contender.name}, {widest.pass_name}, {widest.problem.label}"
    return (
        f"Over {most}{count} processes the lowest and highest ratio differ by {median(spreads.values()):.1%} in the "
        f"median, by {spreads[widest]:.1%} at most ({where})."
    )


def verdict_note(same_within: float) -> str:
    """What the four words mean."""
    within = f"±{same_within * 100:g}%"
    return (
        f"SAME: the whole 95% interval of the ratio lies within {within} of 1. FASTER, SLOWER: otherwise, and the "
        "interval excludes 1. UNDECIDED: the rest. Where several processes ran, each of them must lie on the verdict's "
        "side, and on a CPU other programs must have left three quarters of it. A verdict holds for the processes that "
        "ran."
    )


def cautions(found: Sequence[Compared], settings: Settings) -> list[str]:
    """That few processes on a CPU cannot bear a small difference between two of them, and how many verdicts that is."""
    near = [
        each
        for each in found
        if each.verdict in ("FASTER", "SLOWER") and too_near(each.ratio, each.contender, each.reference, settings)
    ]
    if not near:
        return []
    return [
        f"{fmt.plural(len(near), 'verdict')} of FASTER or SLOWER within {NEAR:.0%} of 1 between processes: on a CPU "
        "two that run the same code differ by about a percent for as long as they live, and fewer than "
        f"{WIDENED_FROM} of each cannot tell; decide by --processes {WIDENED_FROM}"
    ]


def wall_lines(found: Sequence[Compared]) -> list[str]:
    """Verdicts that the wall clock turns round, the most striking first."""
    turned = [each for each in found if each.wall_disagrees]
    turned.sort(key=lambda each: -abs(log(each.wall.median / each.ratio.median)))
    lines = [
        f"{each.contender.name}, {each.pass_name}, {each.problem.label}: {each.verdict} by device time "
        f"({fmt.ratio(each.ratio)}), the opposite by the wall ({fmt.ratio(each.wall)})"
        for each in turned[:MOST_TURNED]
    ]
    more = len(turned) - MOST_TURNED
    return lines + ([f"{fmt.plural(more, 'more verdict')} of this kind"] if more > 0 else [])
