"""``select``: which contender for a workload, by how much, how sure, at what cost, and where that changes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp, inf, log

import msgspec
from msgspec.structs import replace

from compare.analysis import circumstances, longest
from compare.analysis import text as fmt
from compare.analysis.accuracy import share, worst_of
from compare.analysis.memory import out_of_memory, way_text, ways_out
from compare.analysis.mix import (
    OVER_LIMIT,
    Goal,
    by_wall,
    compile_s,
    labels,
    objection,
    passes_for,
    peak_bytes,
    ratio_of_totals,
    timed,
    total,
    varies,
)
from compare.analysis.notices import worded
from compare.analysis.sections import Column, Section, Table, number
from compare.analysis.solutions import FLASH, solutions_of
from compare.analysis.startup import before, compiles
from compare.analysis.text import listed
from compare.machine.load import BUSY_MACHINE
from compare.measure.search import Reach, at_length
from compare.results.rows import FAILED, by_contender, by_problem, measurements
from compare.schema.records import Contender, Measurement, PassName, Problem, Row, Run, Settings, TensorError
from compare.stats.estimates import WIDENED_FROM, Estimate, device_time, paired_ratio, quotient, wall_time
from compare.stats.verdicts import NEAR, Verdict, advice, too_near, verdict

GROWTH_VARIES = 1.5  # resident memory, where it stands in for a count: by tens of percent from process to process
Chosen = tuple[str, str, int]  # dtype, arithmetic and devices
Rows = tuple[Measurement, ...]  # of one contender, one for each problem of the mix, in its order


class Job(msgspec.Struct, frozen=True):
    """What is asked: how often each problem is called, what shall be short, and the most bytes a pass may take."""

    mix: dict[Problem, float]
    goal: Goal
    settings: Settings
    limit_bytes: int | None = None


class Standing(msgspec.Struct, frozen=True):
    """One contender over the whole mix: seconds (bytes where the goal is memory), and their ratio to the leader's.

    ``wall``: the ratio of wall-clock times, with Python and launches.  ``after``: a contender whose compiling
    had warmed the compiler.
    ``gain_s``: what compiling saves each time the mix runs, in wall-clock time, beside ``against``, which compiles
    nothing.
    """

    contender: Contender
    rows: Rows
    total: Estimate
    ratio: Estimate | None
    verdict: Verdict | None
    wall: Estimate | None
    peak_bytes: int
    saved_bytes: int | None
    compile_s: float
    worst: TensorError | None
    after: Contender | None
    against: Contender | None
    gain_s: float | None

    @property
    def pays_after(self) -> float | None:
        """How often the mix must run until compiling has paid; None: it never does."""
        return self.compile_s / self.gain_s if self.gain_s and self.gain_s > 0 else None


class LeftOut(msgspec.Struct, frozen=True):
    """A contender that could not be compared over the whole mix, why, and at which problems."""

    contender: Contender
    reason: str
    problems: tuple[Problem, ...]


class Choice(msgspec.Struct, frozen=True):
    """The contenders of one dtype, arithmetic and number of devices, the leader first."""

    job: Job
    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def winner(self) -> Standing | None:
        """The leader, where there are others and each is certain to be behind it."""
        behind = [each.verdict == "SLOWER" for each in self.standings[1:]]
        return self.standings[0] if behind and all(behind) else None

    @property
    def level(self) -> tuple[Standing, ...]:
        """The leader and all that are not certain to be behind it."""
        return tuple(each for each in self.standings if each.verdict != "SLOWER")

    @property
    def precision(self) -> str:
        """The dtype, and of float32 the arithmetic of its products."""
        problem = next(iter(self.job.mix))
        return f"float32 {problem.matmul_precision}" if problem.dtype == "float32" else problem.dtype

    @property
    def devices(self) -> int:
        """How many of them share the sequence."""
        return next(iter(self.job.mix)).devices


def chosen_apart(problem: Problem) -> Chosen:
    """What makes a choice of its own: a job does not call the same attention on one device and on two."""
    return problem.dtype, problem.matmul_precision, problem.devices


def choices(rows: Sequence[Row], job: Job) -> list[Choice]:
    """A choice for each dtype, arithmetic and number of devices of the mix."""
    groups: dict[Chosen, dict[Problem, float]] = {}
    for problem, weight in job.mix.items():
        groups.setdefault(chosen_apart(problem), {})[problem] = weight
    return [choice(rows, replace(job, mix=mix)) for mix in groups.values()]


def choice(rows: Sequence[Row], job: Job) -> Choice:
    """The contenders that can be compared over the whole mix, and those that cannot."""
    whole: dict[Contender, Rows] = {}
    left_out: list[LeftOut] = []
    for contender, group in by_contender(row for row in rows if row.problem in job.mix):
        held = {row.problem: row for row in group}
        reasons: dict[str, list[Problem]] = {}
        for problem in job.mix:
            reasons.setdefault(objection(held.get(problem), job.goal, job.limit_bytes), []).append(problem)
        if list(reasons) == [""]:
            whole[contender] = tuple(row for at in job.mix if isinstance(row := held[at], Measurement))
        left_out += [LeftOut(contender, why, tuple(where)) for why, where in reasons.items() if why]
    first = measurements(row for row in rows if row.problem == next(iter(job.mix)))
    return Choice(job, _standings(whole, first, job), tuple(left_out))


def _standings(whole: Mapping[Contender, Rows], group: Sequence[Measurement], job: Job) -> tuple[Standing, ...]:
    """The leader first: the one with the lowest ratio, whichever it is formed against."""
    if not whole:
        return ()
    first = next(iter(whole.values()))
    leader = min(whole.values(), key=lambda rows: relative(rows, first, job).median)
    eager = [rows for rows in whole.values() if not any(map(compiles, rows))]
    rival = min(eager, key=lambda rows: _wall_s(rows, job), default=None)
    found = [_standing(rows, leader, rival, before(rows[0], group), job) for rows in whole.values()]
    return tuple(sorted(found, key=lambda each: (each.ratio is not None, each.ratio and each.ratio.median)))


def _standing(rows: Rows, leader: Rows, rival: Rows | None, after: Contender | None, job: Job) -> Standing:
    """One contender beside the leader, and beside a rival that compiles nothing."""
    ratio = relative(rows, leader, job) if rows is not leader else None
    against = rival if rival and any(map(compiles, rows)) and after is None else None
    saved = [row.saved_bytes for row in rows if row.saved_bytes is not None]
    errors = [worst for row in rows if (worst := worst_of(row, passes_for(row, job.goal)))]
    return Standing(
        contender=rows[0].contender,
        rows=rows,
        total=amount(rows, job),
        ratio=ratio,
        verdict=_verdict(ratio, rows[0].contender, leader[0].contender, job) if ratio else None,
        wall=_by_wall(rows, leader, job) if ratio else None,
        peak_bytes=max(peak_bytes(row, job.goal) for row in rows),
        saved_bytes=max(saved) if len(saved) == len(rows) else None,
        compile_s=sum(compile_s(row, job.goal) for row in rows),
        worst=max(errors, key=lambda each: share(each.max_error, each.allowed_max), default=None),
        after=after,
        against=against[0].contender if against else None,
        gain_s=_wall_s(against, job) - _wall_s(rows, job) if against else None,
    )


def _verdict(ratio: Estimate, contender: Contender, leader: Contender, job: Job) -> Verdict:
    """What the ratio to the leader says; memory is a count, which no process blurs."""
    blurred = job.goal != "memory" and too_near(ratio, contender, leader, job.settings)
    return "UNDECIDED" if blurred else verdict(ratio, job.settings.same_within)


def amount(rows: Rows, job: Job) -> Estimate:
    """What the mix takes: seconds in sum, or the bytes of the problem that needs most."""
    if job.goal == "memory":
        return exactly(max(peak_bytes(row, job.goal) for row in rows))
    return total([*job.mix.values()], [timed(row, job.goal) for row in rows])


def relative(ours: Rows, reference: Rows, job: Job) -> Estimate:
    """What the mix takes over what it takes of the reference."""
    if job.goal == "memory":
        return ratio_of_peaks(*(max(rows, key=lambda row: peak_bytes(row, "memory")) for rows in (ours, reference)))
    busy = any(notice.code == BUSY_MACHINE for row in (*ours, *reference) for notice in row.warnings)
    one, other = ([timed(row, job.goal) for row in rows] for rows in (ours, reference))
    return replace(ratio_of_totals([*job.mix.values()], one, other), busy=busy)


def _by_wall(ours: Rows, reference: Rows, job: Job) -> Estimate:
    one, other = ([by_wall(timed(row, job.goal)) for row in rows] for rows in (ours, reference))
    return ratio_of_totals([*job.mix.values()], one, other)


def exactly(value: float) -> Estimate:
    """A count, which has no interval."""
    return Estimate(value, value, value, 1)


def ratio_of_peaks(ours: Measurement, reference: Measurement) -> Estimate:
    """One peak over another, which may be nothing.  Counts are exact; growth of resident memory stands for a range."""
    peak, other = (peak_bytes(row, "memory") for row in (ours, reference))
    ratio = peak / other if other else inf if peak else 1.0
    apart = GROWTH_VARIES if varies(ours, "memory") or varies(reference, "memory") else 1.0
    return Estimate(ratio, ratio / apart, ratio * apart, 1)


def _wall_s(rows: Rows, job: Job) -> float:
    times = (wall_time(timed(row, job.goal)).median for row in rows)
    return sum(n * time for n, time in zip(job.mix.values(), times, strict=True))


FLOAT = sys.float_info
Point = tuple[int, Estimate]  # a length, and the ratio there
Judge = Callable[[Estimate], Verdict]


class Crossing(msgspec.Struct, frozen=True):
    """The length at which a ratio is 1, with its interval, between two lengths that were ``measured``."""

    length: float
    low: float
    high: float
    measured: tuple[int, int]
    rises: bool  # below it the ratio is under 1


class Series(msgspec.Struct, frozen=True):
    """Two contenders at several lengths, all else equal: the ratio of the first to the second, and where it is 1."""

    problem: Problem
    one: Contender
    other: Contender
    points: tuple[Point, ...]
    crossings: tuple[Crossing, ...]


def series(rows: Iterable[Row], one: Contender, other: Contender, goal: Goal, judge: Judge) -> list[Series]:
    """Every family of problems that differ in their length alone, of which two or more were measured for both."""
    families: dict[Problem, list[Point]] = {}
    for problem, group in by_problem(rows):
        held = {row.contender: row for row in group if isinstance(row, Measurement) and not objection(row, goal, None)}
        if problem.q_len == problem.kv_len and one in held and other in held:
            point = (problem.q_len, _ratio(held[one], held[other], goal))
            families.setdefault(replace(problem, q_len=1, kv_len=1), []).append(point)
    ordered = {family: tuple(sorted(points, key=lambda point: point[0])) for family, points in families.items()}
    return [
        Series(family, one, other, points, tuple(crossings(points, judge)))
        for family, points in ordered.items()
        if len(points) > 1
    ]


def _ratio(one: Measurement, other: Measurement, goal: Goal) -> Estimate:
    if goal == "memory":
        return ratio_of_peaks(one, other)
    busy = any(notice.code == BUSY_MACHINE for row in (one, other) for notice in row.warnings)
    return replace(paired_ratio(timed(one, goal), timed(other, goal)), busy=busy)


def crossings(points: Sequence[Point], judge: Judge) -> Iterable[Crossing]:
    """Those between decided neighbours with opposite verdicts; what is undecided between them widens the interval."""
    decided = [at for at, (_, ratio) in enumerate(points) if judge(ratio) in ("FASTER", "SLOWER")]
    for first, last in pairwise(decided):
        between = points[first : last + 1]
        rises = judge(points[last][1]) == "SLOWER"
        if judge(points[first][1]) != judge(points[last][1]):
            early, late = ("high", "low") if rises else ("low", "high")
            ends = _first(between, early), _last(between, late)
            yield Crossing(_first(between, "median"), *ends, (between[0][0], between[-1][0]), rises)


def _first(points: Sequence[Point], bound: str) -> float:
    """The first length at which the bound of the ratio is 1."""
    return next(_at_one(a, b, bound) for a, b in pairwise(points) if _apart(a, b, bound))


def _last(points: Sequence[Point], bound: str) -> float:
    """The last one."""
    return next(_at_one(a, b, bound) for a, b in reversed([*pairwise(points)]) if _apart(a, b, bound))


def _apart(one: Point, other: Point, bound: str) -> bool:
    """Whether the bound lies on either side of 1, or on it."""
    return bool((getattr(one[1], bound) - 1) * (getattr(other[1], bound) - 1) <= 0)


def _at_one(one: Point, other: Point, bound: str) -> float:
    """The length between two at which the bound is 1, on a straight line through logarithms."""
    (start, low), (end, high) = ((log(length), log(_finite(getattr(ratio, bound)))) for length, ratio in (one, other))
    return exp(start - low * (end - start) / (high - low)) if high != low else exp(start)


def _finite(ratio: float) -> float:
    """An end of an interval from too few rounds, 0 or infinite, as a number that has a logarithm."""
    return min(max(ratio, FLOAT.min), FLOAT.max)


MOST_SEARCHES = 3  # that are named
MOST = 0.5  # of a mix: what takes more decides it
WHAT: dict[Goal, str] = {"latency": "forward", "training": "training", "memory": "memory"}


def heading(found: Choice, run: Run) -> str:
    """What was chosen for, where."""
    devices = listed([*dict.fromkeys(report.device_name for report in run.backends)])
    shared = f"{found.devices} devices of " if found.devices > 1 else ""
    return f"{found.precision}, {goal_words(found)}, {shared}{devices}"


def goal_words(found: Choice) -> str:
    """The goal, and for training by which passes."""
    names = {passes_for(row, found.job.goal) for each in found.standings for row in each.rows}
    passes = " and ".join(" + ".join(each) for each in sorted(names))
    goal = WHAT[found.job.goal]
    return goal if passes in ("", goal) else f"{goal} ({passes})"


def mix_words(found: Choice) -> str:
    """The problems, those that differ in their length alone together, and how often each is called."""
    mix = found.job.mix
    alike = len({*mix.values()}) == 1
    families: dict[str, list[str]] = {}
    for problem, weight in mix.items():
        length = " ".join(problem.label_parts().get(field, "") for field in ("q_len", "kv_len")).strip()
        families.setdefault(longest.title(problem), []).append(length + ("" if alike else f" ({often(weight)})"))
    shown = "; ".join(f"{family}: {', '.join(lengths)}" for family, lengths in families.items())
    return f"The mix: {shown}{'; equally often' if alike and len(mix) > 1 else ''}."


def often(weight: float) -> str:
    """How often a problem is called."""
    return {1.0: "once", 2.0: "twice"}.get(weight, f"{weight:g} times")


def heaviest(found: Choice) -> str:
    """The problem that most of the leader's time goes into, where it is one of several."""
    leader = found.standings[0]
    times = [
        n * device_time(timed(row, found.job.goal)).median
        for n, row in zip(found.job.mix.values(), leader.rows, strict=True)
    ]
    share, row = max(zip(times, leader.rows, strict=True), key=lambda each: each[0])
    if len(times) == 1 or found.job.goal == "memory" or share < MOST * sum(times):
        return ""
    return f"{fmt.percent(share / sum(times))} of its time goes into {row.problem.label}."


def answer(found: Choice, reaches: Sequence[Reach]) -> str:
    """The recommendation: by how much, how sure and at what cost; or why there is none."""
    if not found.standings:
        return "No contender can be compared over the whole of this mix."
    leader, *others = found.standings
    if not others:
        said = f"Nothing to choose: only {leader.contender.name} can be compared over the whole of this mix."
    elif found.winner:
        said = f"Take {leader.contender.name}: {amount_words(leader, found)}. The next is {beside(others[0], found)}."
    else:
        said = undecided(found)
    told = [
        said,
        narrowly(found),
        heaviest(found),
        *failures(found),
        *by_the_wall(found),
        *(costs(each, found, reaches) for each in found.level),
    ]
    return " ".join(filter(None, told))


def narrowly(found: Choice) -> str:
    """A caution where one process of each framework decides by little: another may choose other kernels."""
    ratio = found.standings[1].ratio if found.winner else None
    if ratio is None or found.job.goal == "memory" or found.job.settings.processes > 1 or ratio.median > 1 + NEAR:
        return ""
    return "The lead is narrow, in one process of each framework: --processes 2 or more would confirm it."


def failures(found: Choice) -> Iterable[str]:
    """Who of those that may be taken failed in one of its processes, which its times do not show."""
    for each in found.level:
        told = dict.fromkeys(worded(notice) for row in each.rows for notice in row.warnings if notice.code == FAILED)
        if told:
            yield f"{each.contender.name} also failed: {fmt.one_line('; '.join(told))}."


def by_the_wall(found: Choice) -> Iterable[str]:
    """Who is ahead of the leader in wall-clock time."""
    leader, settings = found.standings[0].contender, found.job.settings
    for each in found.standings:
        if each.wall is None or found.job.goal == "memory" or too_near(each.wall, each.contender, leader, settings):
            continue
        if verdict(each.wall, settings.same_within) == "FASTER":
            yield (
                f"In wall-clock time, with Python and launches, {each.contender.name} takes only "
                f"{fmt.ratio(each.wall)} as long as {leader.name}."
            )


def undecided(found: Choice) -> str:
    """Who is level with the leader, and what would tell them apart."""
    leader, *others = found.level
    named = f"{leader.contender.name} ({amount_words(leader, found)})"
    if all(each.verdict == "SAME" for each in others):
        within = f"within {found.job.settings.same_within * 100:g}% of {named}, which makes no difference"
        verb = "is" if len(others) == 1 else "are"
        return f"No winner: {listed([beside(each, found) for each in others])} {verb} {within}."
    shown = listed([f"{beside(each, found)} ({each.verdict})" for each in others])
    return f"No winner: {named} leads, but {shown} may be as good. {decided_by(found)}"


def decided_by(found: Choice) -> str:
    """What would decide the first that is undecided."""
    leader = found.standings[0]
    each = next((each for each in found.level if each.verdict == "UNDECIDED"), leader)
    if each.ratio is None:
        return ""
    if found.job.goal == "memory":
        return "Peak is growth of resident memory, accurate to tens of percent: a smaller difference has no winner."
    if too_near(each.ratio, each.contender, leader.contender, found.job.settings):
        return (
            "On a CPU two processes of the same program differ by about a percent for as long as they live: "
            f"--processes {WIDENED_FROM} could decide it."
        )
    return f"What would decide it: {advice(each.ratio, found.job.settings.same_within)}."


def amount_words(each: Standing, found: Choice) -> str:
    """What the mix takes."""
    if found.job.goal == "memory":
        return fmt.size(int(each.total.median))
    return f"{fmt.duration(each.total.median)} {fmt.interval(each.total)}"


def ratio(each: Standing, found: Choice) -> str:
    """Its ratio to the leader's."""
    if each.ratio is None:
        return fmt.NONE
    return fmt.times(each.ratio.median) if found.job.goal == "memory" else fmt.ratio(each.ratio)


def beside(each: Standing, found: Choice) -> str:
    """A contender with its ratio to the leader."""
    return f"{each.contender.name} at {ratio(each, found)}"


def costs(each: Standing, found: Choice, reaches: Sequence[Reach]) -> str:
    """What a contender costs beside its time: compiling, precision, memory, and how long a sequence it bears."""
    saves = found.job.goal != "latency" and each.saved_bytes is not None
    said = [
        compiling(each),
        f"{fmt.size(each.peak_bytes)} at its peak" + f", {fmt.size(each.saved_bytes)} saved for backward" * saves,
        f"an error of {fmt.error(each.worst.max_error)} against float64 ({each.worst.tensor})" if each.worst else "",
        *(f"sequences up to {longest.longest(reach)} ({reach.pass_name})" for reach in of(reaches, each, found)),
    ]
    return f"{each.contender.name} costs {'; '.join(filter(None, said))}."


def compiling(each: Standing) -> str:
    """Tracing and compiling, and when that is paid for; with a compiler that was warm that says nothing."""
    if not each.compile_s:
        return "nothing to compile"
    spent = f"{fmt.duration(each.compile_s)} of tracing and compiling"
    if each.after:
        return f"{spent} (with what {each.after.name} had compiled before)"
    if each.against is None:
        return spent
    if each.pays_after is None:
        lost = f"takes {fmt.duration(-each.gain_s)} longer" if each.gain_s else "is no shorter"
        return f"{spent}, which never pays beside {each.against.name}: in wall-clock time the mix {lost}"
    return f"{spent}, paid after {fmt.roughly(max(each.pays_after, 1))} runs of the mix beside {each.against.name}"


def of(reaches: Sequence[Reach], each: Standing, found: Choice) -> list[Reach]:
    """The searches for the longest sequence that are of this contender, this goal and these problems."""
    name = search_pass(found)
    families = {replace(at_length(problem, 1), seed=0) for problem in found.job.mix}
    return [
        reach
        for reach in reaches
        if (reach.contender, reach.pass_name) == (each.contender, name)
        and replace(at_length(reach.problem, 1), seed=0) in families
    ]


def not_searched(reaches: Sequence[Reach], found: Choice) -> str:
    """How to find the longest sequence, and what a search was of that says nothing here."""
    if not reaches:
        return "--max-seq-len finds it, and its folder can be given beside these"
    searched = [f"{longest.title(each.problem)} ({each.contender.name}, {each.pass_name})" for each in reaches]
    shown = listed([*dict.fromkeys(searched)][:MOST_SEARCHES])
    more = len({*searched}) - MOST_SEARCHES
    wanted = listed([*dict.fromkeys(longest.title(problem) for problem in found.job.mix)])
    others = f" and {fmt.plural(more, 'other')}" if more > 0 else ""
    return (
        f"the search that was given is of {shown}{others}, and of no contender here in {wanted} "
        f"({search_pass(found)}); --max-seq-len with these shapes and contenders finds it"
    )


def search_pass(found: Choice) -> PassName:
    """The pass whose longest sequence a job of the goal is held to."""
    return "forward" if found.job.goal == "latency" else "step"


INTERPOLATED = (
    "The crossover lies between two measured lengths. The interpolated value assumes a straight line in log-log space; "
    "measure a length in between to confirm it."
)
COLUMNS = (
    Column("contender"),
    number("the mix takes"),
    number("times the first"),
    number("peak", "MB"),
    number("saved", "MB"),
    number("compile", "s"),
    number("error"),
)


def sections(found: Sequence[Choice], rows: Sequence[Row], run: Run, reaches: Sequence[Reach]) -> list[Section]:
    """Every choice, one after the other."""
    return [part for each in found for part in _of(each, found, rows, run, reaches)]


def _of(
    found: Choice, others: Sequence[Choice], rows: Sequence[Row], run: Run, reaches: Sequence[Reach]
) -> list[Section]:
    apart = chosen_apart(next(iter(found.job.mix)))
    own = [row for row in rows if chosen_apart(row.problem) == apart]
    crossovers = [*elsewhere(found, own), *along(found, own)]
    return [
        Section(heading(found, run), [answer(found, reaches)]),
        Section(
            "Side by side",
            [mix_words(found)],
            [Table(COLUMNS, [line(each, found) for each in found.standings])],
        ),
        Section("Crossover", points=crossovers),
        Section("In another precision", points=[*precisions(found, others)]),
        Section("On another number of devices", points=[*on_devices(found, others)]),
        Section("Left out", points=[*left_out(found), *fitting(found, rows)]),
        Section("Not measured", points=[*missing(found, others, run, reaches)]),
    ]


def line(each: Standing, found: Choice) -> tuple[str, ...]:
    """One contender."""
    shown = ratio(each, found) + (f"\n{each.verdict}" if each.verdict else "")
    memory = (fmt.megabytes(each.peak_bytes), fmt.megabytes(each.saved_bytes))
    error = fmt.error(each.worst.max_error if each.worst else None)
    compile_s = fmt.significant(each.compile_s, 2) if each.compile_s else fmt.NONE
    return each.contender.name, amount_words(each, found), shown, *memory, compile_s, error


def elsewhere(found: Choice, rows: Sequence[Row]) -> Iterable[str]:
    """The problems of the mix at which another contender than the leader wins by itself."""
    leaders = [each.contender for each in found.standings[:1]]
    winners: dict[Contender, list[Choice]] = {}
    for problem in found.job.mix:
        alone = choice(rows, replace(found.job, mix={problem: 1.0}))
        if alone.winner and alone.winner.contender not in leaders:
            winners.setdefault(alone.winner.contender, []).append(alone)
    for winner, where in winners.items():
        problems = labels([problem for at in where for problem in at.job.mix])
        behind = [each for at in where for each in at.standings if each.contender in leaders]
        ratios = [each.ratio.median for each in behind if each.ratio]
        beside = f", {leaders[0].name} being at {spread(ratios)}" if ratios else ""
        yield f"alone {problems} would take {winner.name}{beside}"


def spread(ratios: Sequence[float]) -> str:
    """The lowest and the highest, or the only one."""
    low, high = fmt.times(min(ratios)), fmt.times(max(ratios))
    return low if low == high else f"{low} to {high}"


def along(found: Choice, rows: Sequence[Row]) -> Iterable[str]:
    """At which lengths another contender overtakes the leader."""
    contenders = [each.contender for each in found.standings]
    within = found.job.settings.same_within
    never: dict[str, list[str]] = {}
    crossed = False
    for other in contenders[1:]:
        for each in series(rows, contenders[0], other, found.job.goal, lambda ratio: verdict(ratio, within)):
            yield from (crossing_words(at, each) for at in each.crossings)
            crossed |= bool(each.crossings)
            if not each.crossings:
                lengths = f"T={each.points[0][0]} to {each.points[-1][0]}, {longest.title(each.problem)}"
                never.setdefault(lengths, []).append(other.name)
    if crossed:
        yield INTERPOLATED
    for lengths, names in never.items():
        yield f"no certain crossing of {contenders[0].name} with {listed(names)} within {lengths}"


def crossing_words(at: Crossing, each: Series) -> str:
    """Who overtakes whom, and at which length."""
    before, after = (each.one, each.other) if at.rises else (each.other, each.one)
    length, low, high = map(fmt.significant, (at.length, at.low, at.high))
    ends = f"; {low} to {high} by the ratios" if at.low < at.high else ""
    between = f"between T={at.measured[0]} and {at.measured[1]} (interpolated {length}{ends})"
    return f"{after.name} overtakes {before.name} {between}, {longest.title(each.problem)}"


def precisions(found: Choice, others: Sequence[Choice]) -> Iterable[str]:
    """The leaders of the same shapes in other dtypes and arithmetic: the same function, rounded otherwise."""
    for other in others:
        if other is not found and shapes(other) == shapes(found) and other.standings and found.standings:
            worst = other.standings[0].worst
            error = f", with an error of {fmt.error(worst.max_error)}" if worst else ""
            yield f"{other.precision}: {leading(other, found)}{error}"


def on_devices(found: Choice, others: Sequence[Choice]) -> Iterable[str]:
    """The leaders of the same problems where another number of devices shares them."""
    for other in others:
        same = {replace(each, devices=found.devices): n for each, n in other.job.mix.items()} == found.job.mix
        if other is not found and same and other.standings and found.standings:
            yield f"{fmt.plural(other.devices, 'device')}: {leading(other, found)}"


def leading(other: Choice, found: Choice) -> str:
    """Who leads another choice, beside the leader of this one."""
    theirs, ours = other.standings[0], found.standings[0]
    shown = fmt.times(theirs.total.median / ours.total.median)
    if found.job.goal != "memory":
        shown = f"{fmt.ratio(quotient(theirs.total, ours.total))} (not measured in turns)"
    return f"{theirs.contender.name} at {shown} of {ours.contender.name} here"


def shapes(found: Choice) -> dict[Problem, float]:
    """The mix without its precision."""
    return {replace(each, dtype="float32", matmul_precision="ieee"): n for each, n in found.job.mix.items()}


def left_out(found: Choice) -> list[str]:
    """Who could not be compared, why and where, those of whom the same is to say together."""
    groups: dict[tuple[str, tuple[Problem, ...]], list[str]] = {}
    for each in found.left_out:
        groups.setdefault((each.reason, each.problems), []).append(each.contender.name)
    return [f"{listed(names)}: {reason} [{labels(problems)}]" for (reason, problems), names in groups.items()]


def fitting(found: Choice, rows: Sequence[Row]) -> list[str]:
    """What fits where others of this choice do not, also in another precision."""
    job = found.job

    def too_large(row: Row) -> bool:
        return row.problem in job.mix and (
            out_of_memory(row) or objection(row, job.goal, job.limit_bytes) == OVER_LIMIT
        )

    def fits(row: Measurement) -> bool:
        return not objection(row, job.goal, job.limit_bytes)

    return way_text(ways_out(rows, too_large, fits))


def counts(noted: Counter[str]) -> str:
    """How often each warning stands."""
    return ", ".join(f"{code} ({fmt.plural(count, 'time')})" for code, count in noted.most_common())


def missing(found: Choice, others: Sequence[Choice], run: Run, reaches: Sequence[Reach]) -> Iterable[str]:
    """What would change the answer and was not looked at."""
    own = next(iter(found.job.mix))
    alike = [other for other in others if other.devices == found.devices]
    theirs = [each for other in alike for each in shapes(other) if each not in shapes(found)]
    if theirs:
        lacking = [replace(each, dtype=own.dtype, matmul_precision=own.matmul_precision) for each in theirs]
        yield f"{labels([*dict.fromkeys(lacking)])}, as in another precision"
    measured = [row for each in found.standings for row in each.rows]
    if measured and not any(FLASH in solutions_of(row) for row in measured):
        yield f"{FLASH}: not measured; --variant fused measures each framework's own"
    if run.settings.processes == 1:
        yield "other processes: each framework ran in one, and another may choose other kernels (--processes)"
    if not any(of(reaches, each, found) for each in found.standings):
        yield f"the longest sequence that fits: {not_searched(reaches, found)}"
    noted = Counter(notice.code for row in measured for notice in row.warnings)
    if noted:
        yield f"without disturbance, as these warnings of the compared rows say: {counts(noted)}; the report has them"
    sources = {row.passes[name].peak_source for row in measured for name in row.passes}
    if found.job.goal == "memory" and len(sources) > 1:
        yield f"peaks in one way: {circumstances.peak_sources(measured)}"
