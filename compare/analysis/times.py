"""Who is faster: device times compared within each problem, and how they spread over the problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from statistics import median
from typing import NamedTuple

import msgspec

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number
from compare.machine.load import BUSY_MACHINE
from compare.results.rows import by_contender, by_problem, measurements, passes_of
from compare.schema.records import PASSES, Contender, Measurement, PassName, Problem, Row, Run, Settings
from compare.stats.estimates import (
    WIDENED_FROM,
    Estimate,
    device_time,
    ratio,
    reference_of,
    trusted,
    wall_ratio,
    wall_time,
)
from compare.stats.verdicts import NEAR, VERDICTS, Verdict, advice, too_near, verdict


def undecided(each: Compared, row: Measurement, reference: Measurement) -> str:
    """Why there is no verdict, as the end of a sentence."""
    if each.ratio.low <= 1 <= each.ratio.high:
        return "the interval of the ratio contains 1"
    busy = any(notice.code == BUSY_MACHINE for one in (row, reference) for notice in one.warnings)
    return "other processes used too much of the CPUs" if busy else "the processes differ too much"


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
        """Whether wall-clock time says the opposite of what device time says."""
        return OPPOSITE.get(self.verdict) == verdict(self.wall, 0.0)


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
    """How many rows an output shows: all up to ``most``, else the first ``of_more``."""

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


ORDER = 10
MOST_TURNED = 3
WALL_NOTE = (
    "Wall-clock time reverses these comparisons. It includes Python, dispatch and the gaps between kernels. On a CPU, "
    "PyTorch's device time includes its dispatch and JAX's does not."
)
SPREAD_NOTE = (
    "Device time over the problems whose numbers agree. The median is shown because the largest problem would dominate "
    "an average."
)
BOTH_NOTE = "Wall-clock time includes what device time leaves out: launches, Python, and gaps between kernels."
OPPOSITE: dict[Verdict, Verdict] = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
WHERE = (Column("Problem"), Column("Contender"), Column("Pass"))
TALLY_COLUMNS = (Column("Contender"), Column("Pass"), *(number(word) for word in VERDICTS))
UNDECIDED_COLUMNS = (*WHERE, number("Ratio"), Column("What would decide it"))
PROCESS_COLUMNS = (*WHERE, number("Ratio"), number("Lowest process"), number("Highest process"))
SPREAD_COLUMNS = (
    Column("Contender"),
    Column("Pass"),
    number("Problems"),
    number("Fastest"),
    number("Median"),
    number("Slowest"),
    Column("Fastest at"),
    Column("Slowest at"),
)


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """The verdicts, what wall-clock time and the processes say of them, and the times."""
    found = compared(rows, run.settings.same_within)
    return [verdict_section(found, run.settings), reversals(found), processes(found), performance(rows), wall(rows)]


def verdict_section(found: Sequence[Compared], settings: Settings) -> Section:
    """How often each contender had each verdict, and what would decide every undecided comparison."""
    if not found:
        return Section("Verdicts")
    tally = [
        [code(contender.name), name, *(str(words[word]) for word in VERDICTS)]
        for (contender, name), words in counts(found).items()
    ]
    same_within = settings.same_within
    open_ = [undecided_cells(pair, same_within) for pair in found if pair.verdict == "UNDECIDED"]
    few = cautions(found, settings)
    tables = [Table(TALLY_COLUMNS, tally), Table(UNDECIDED_COLUMNS, open_, "Undecided", grouped=True)]
    return Section("Verdicts", [verdict_note(same_within), *few], tables, brief=[*verdict_lines(found), *few])


def where(pair: Compared) -> tuple[str, str, str]:
    """Problem, contender and pass of a comparison."""
    return pair.problem.label, code(pair.contender.name), pair.pass_name


def undecided_cells(pair: Compared, same_within: float) -> list[str]:
    """One line of the table of undecided comparisons."""
    return [*where(pair), fmt.ratio(pair.ratio), advice(pair.ratio, same_within)]


def verdict_lines(found: Sequence[Compared]) -> list[str]:
    """How often each contender had each verdict, pass by pass, in words."""
    lines = []
    for (contender, name), tally in counts(found).items():
        words = ", ".join(f"{tally[word]} {word}" for word in VERDICTS if tally[word])
        lines.append(f"{code(contender.name)}, {name}: {words} (of {fmt.plural(sum(tally.values()), 'problem')})")
    return lines


def verdict_note(same_within: float) -> str:
    """What the four words mean."""
    return (
        f"SAME: the whole 95% interval of the ratio lies within ±{same_within * 100:g}% of 1. FASTER, SLOWER: else, "
        "where the interval excludes 1. UNDECIDED: all others. With several processes, the ratio of each process must "
        "support the verdict. On a CPU, there is no verdict where other programs used more than a quarter of it. A "
        "verdict holds for the processes that ran."
    )


def cautions(found: Sequence[Compared], settings: Settings) -> list[str]:
    """That few processes on a CPU cannot resolve a small difference, and how many verdicts that concerns."""
    near = [
        pair
        for pair in found
        if pair.verdict in ("FASTER", "SLOWER") and too_near(pair.ratio, pair.contender, pair.reference, settings)
    ]
    if not near:
        return []
    return [
        f"{fmt.plural(len(near), 'verdict')} of FASTER or SLOWER within {NEAR:.0%} of 1: too few processes to resolve "
        "a difference this small. On a CPU, two processes that run the same code differ by about a percent. Rerun "
        f"with --processes {WIDENED_FROM}."
    ]


def reversals(found: Sequence[Compared]) -> Section:
    """The verdicts that wall-clock time reverses."""
    lines = wall_lines(found)
    return Section(
        "Reversed by wall-clock time",
        [WALL_NOTE] if lines else [],
        points=lines,
        brief=[WALL_NOTE, *lines] if lines else [],
    )


def wall_lines(found: Sequence[Compared]) -> list[str]:
    """Verdicts that wall-clock time reverses, the most striking first."""
    turned = [pair for pair in found if pair.wall_disagrees]
    turned.sort(key=lambda pair: -abs(log(pair.wall.median / pair.ratio.median)))
    lines = [
        f"{code(pair.contender.name)}, {pair.pass_name}, {pair.problem.label}: {pair.verdict} by device time "
        f"({fmt.ratio(pair.ratio)}), {OPPOSITE[pair.verdict]} by wall-clock time ({fmt.ratio(pair.wall)})"
        for pair in turned[:MOST_TURNED]
    ]
    more = len(turned) - MOST_TURNED
    return lines + ([f"{fmt.plural(more, 'more reversal')}"] if more > 0 else [])


def processes(found: Sequence[Compared]) -> Section:
    """How far the processes of each comparison differ."""
    several = [pair for pair in found if pair.ratio.by_process]
    note = [process_note(several)] if several else []
    lines = [process_cells(pair) for pair in several]
    table = Table(PROCESS_COLUMNS, lines, "Ratios by process", grouped=True, folded=True)
    return Section("Processes", note, [table], brief=note)


def process_cells(pair: Compared) -> list[str]:
    """One line of the table of ratios by process."""
    ends = (min(pair.ratio.by_process), max(pair.ratio.by_process))
    return [*where(pair), fmt.ratio(pair.ratio), *(f"{end:.3f}x" for end in ends)]


def process_note(found: Sequence[Compared]) -> str:
    """How far the processes differ, in words."""
    spreads = {pair: max(pair.ratio.by_process) / min(pair.ratio.by_process) - 1 for pair in found}
    widest = max(found, key=lambda pair: spreads[pair])
    count = max(len(pair.ratio.by_process) for pair in found)
    most = "up to " if any(len(pair.ratio.by_process) < count for pair in found) else ""
    place = f"{code(widest.contender.name)}, {widest.pass_name}, {widest.problem.label}"
    return (
        f"Over {most}{count} processes, the lowest and the highest ratio differ by {median(spreads.values()):.1%} in "
        f"the median and by at most {spreads[widest]:.1%} ({place})."
    )


def performance(rows: Sequence[Row]) -> Section:
    """Fastest, median and slowest of each pass of each contender."""
    lines = [spread_cells(found) for found in spreads(rows)]
    none = [] if lines else ["No row has numbers that agree."]
    return Section("Performance summary", [SPREAD_NOTE, *none], [Table(SPREAD_COLUMNS, lines)])


def spread_cells(found: Spread) -> list[str]:
    """One line of the performance summary."""
    times = map(fmt.duration, (found.fastest_s, found.median_s, found.slowest_s))
    place = (found.fastest.label, found.slowest.label)
    return [code(found.contender.name), found.pass_name, str(found.problems), *times, *place]


def wall(rows: Sequence[Row]) -> Section:
    """Wall-clock time beside device time; the difference is launches, Python and idle gaps."""
    passes = passes_of(rows)
    columns = [number(f"{name} {clock}", "ms") for name in passes for clock in ("device", "wall")]
    lines = [wall_cells(row, passes) for _, group in by_problem(rows) for row in measurements(group)]
    table = Table((Column("Problem"), Column("Contender"), *columns), lines, grouped=True)
    return Section("Wall-clock time and device time", [BOTH_NOTE] if lines else [], [table])


def wall_cells(row: Measurement, passes: Sequence[PassName]) -> list[str]:
    """Both times of each pass of one row."""
    results = [row.passes.get(name) for name in passes]
    times = [(fmt.time(device_time(r)), fmt.time(wall_time(r))) if r else (fmt.NONE, fmt.NONE) for r in results]
    return [row.problem.label, code(row.contender.name), *(cell for pair in times for cell in pair)]
