"""The page of ``select``: for each choice the answer, the contenders side by side, where it flips, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from compare.choice.crossover import Crossing, Series, series
from compare.choice.goals import OVER_LIMIT, objection
from compare.choice.mix import labels
from compare.choice.selection import Choice, Standing, choice
from compare.circumstances import Run
from compare.findings.remedies import FLASH, remedies_of
from compare.findings.summary import quotient
from compare.findings.verdicts import verdict
from compare.findings.ways_out import out_of_memory, ways_out
from compare.records import Contender, Measurement, Problem, Row
from compare.report import format as fmt
from compare.report import legend, reach_tables, solution_words
from compare.report import selection_words as words
from compare.report.headed import Section
from compare.report.words import listed
from compare.run.reach import Reach

INTERPOLATED = (
    "Certain is between which measured lengths two change places. The interval of the interpolated length is that of "
    "the ratios alone, as if their logarithm ran straight: a length measured in between tells more."
)
COLUMNS = ("contender", ">the mix takes", ">times the\nfirst", ">peak\nMB", ">saved\nMB", ">compile\ns", ">error")


def sections(found: Sequence[Choice], rows: Sequence[Row], run: Run, reaches: Sequence[Reach]) -> list[Section]:
    """Every choice, one after the other."""
    return [part for each in found for part in _of(each, found, rows, run, reaches)]


def _of(
    found: Choice, others: Sequence[Choice], rows: Sequence[Row], run: Run, reaches: Sequence[Reach]
) -> list[Section]:
    own = [row for row in rows if precision_of(row.problem) == precision_of(next(iter(found.job.mix)))]
    flips = [*elsewhere(found, own), *along(found, own)]
    return [
        Section(words.heading(found, run), words.answer(found, reaches)),
        Section(
            "Side by side",
            words.mix_words(found),
            columns=COLUMNS,
            lines=[line(each, found) for each in found.standings],
        ),
        Section("Where the choice flips", points=flips),
        Section("In another precision", points=[*precisions(found, others)]),
        Section("Left out", points=[*left_out(found), *fitting(found, rows)]),
        Section("Not measured", points=[*missing(found, others, run, reaches)]),
    ]


def precision_of(problem: Problem) -> tuple[str, str]:
    """The dtype and arithmetic that make a choice of its own."""
    return problem.dtype, problem.matmul_precision


def line(each: Standing, found: Choice) -> tuple[str, ...]:
    """One contender."""
    shown = words.ratio(each, found) + (f"\n{each.verdict}" if each.verdict else "")
    memory = (fmt.megabytes(each.peak_bytes), fmt.megabytes(each.saved_bytes))
    error = fmt.error(each.worst.max_error if each.worst else None)
    compile_s = fmt.significant(each.compile_s, 2) if each.compile_s else fmt.NONE
    return each.contender.name, words.amount(each, found), shown, *memory, compile_s, error


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
    """Where along the sequence the leader and each other contender change places."""
    contenders = [each.contender for each in found.standings]
    within = found.job.settings.same_within
    never: dict[str, list[str]] = {}
    crossed = False
    for other in contenders[1:]:
        for each in series(rows, contenders[0], other, found.job.goal, lambda ratio: verdict(ratio, within)):
            yield from (crossing_words(at, each) for at in each.crossings)
            crossed |= bool(each.crossings)
            if not each.crossings:
                lengths = f"T={each.points[0][0]} to {each.points[-1][0]}, {reach_tables.title(each.problem)}"
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
    return f"{after.name} overtakes {before.name} {between}, {reach_tables.title(each.problem)}"


def precisions(found: Choice, others: Sequence[Choice]) -> Iterable[str]:
    """The leaders of the same shapes in other dtypes and arithmetic: the same function, rounded otherwise."""
    for other in others:
        if other is found or shapes(other) != shapes(found) or not (other.standings and found.standings):
            continue
        theirs, ours = other.standings[0], found.standings[0]
        shown = fmt.times(theirs.total.median / ours.total.median)
        if found.job.goal != "memory":
            shown = f"{fmt.ratio(quotient(theirs.total, ours.total))} (not measured in turns)"
        error = f", with an error of {fmt.error(theirs.worst.max_error)}" if theirs.worst else ""
        yield f"{other.precision}: {theirs.contender.name} at {shown} of {ours.contender.name} here{error}"


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

    return solution_words.ways_out(ways_out(rows, too_large, fits))


def counts(noted: Counter[str]) -> str:
    """How often each warning stands."""
    return ", ".join(f"{code} ({fmt.plural(count, 'time')})" for code, count in noted.most_common())


def missing(found: Choice, others: Sequence[Choice], run: Run, reaches: Sequence[Reach]) -> Iterable[str]:
    """What would change the answer and was not looked at."""
    own = next(iter(found.job.mix))
    theirs = [each for other in others for each in shapes(other) if each not in shapes(found)]
    if theirs:
        lacking = [replace(each, dtype=own.dtype, matmul_precision=own.matmul_precision) for each in theirs]
        yield f"{labels([*dict.fromkeys(lacking)])}, as in another precision"
    measured = [row for each in found.standings for row in each.rows]
    if measured and not any(FLASH in remedies_of(row) for row in measured):
        yield f"{FLASH}: none of it stands here; --variant fused measures each framework's own"
    if run.settings.processes == 1:
        yield "other processes: each framework ran in one, and another may choose other kernels (--processes)"
    if not any(words.of(reaches, each, found) for each in found.standings):
        yield "the longest sequence that fits: --max-seq-len finds it, and its folder can be given beside these"
    noted = Counter(notice.code for row in measured for notice in row.warnings)
    if noted:
        yield f"without disturbance, as these warnings of the compared rows say: {counts(noted)}; the report has them"
    sources = {row.passes[name].peak_source for row in measured for name in row.passes}
    if found.job.goal == "memory" and len(sources) > 1:
        yield f"peaks in one way: {legend.weighed_by(measured)}"
