"""Which contender to take for a mix of problems, by how much, how sure, and at what cost.

A dtype is a choice of its own, and so are the arithmetic of float32 products and the number of devices that share a
sequence.  A contender is named only if it beats every other one.  So trying many gains nothing (an intersection-union
test: Berger 1982, doi:10.1080/00401706.1982.10487790): one more rival can only withhold the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import msgspec
from msgspec.structs import replace

from compare.choice.goals import Goal, by_wall, compile_s, objection, passes_for, peak_bytes, timed, varies
from compare.choice.totals import ratio_of_totals, total
from compare.circumstances import Settings
from compare.findings.analysis import by_contender, measurements
from compare.findings.conditions import BUSY_MACHINE
from compare.findings.gather import share, worst_of
from compare.findings.ladder import before, compiles
from compare.findings.summary import Estimate, wall_time
from compare.findings.verdicts import Verdict, too_near, verdict
from compare.records import Contender, Measurement, Problem, Row, TensorError

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

    ``wall``: the ratio by the wall clock, which holds Python and launches too.  ``after``: a contender whose compiling
    had warmed the compiler.
    ``gain_s``: what compiling saves each time the mix runs, by the wall, beside ``against``, which compiles nothing.
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
