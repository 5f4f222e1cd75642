"""A choice in a paragraph: whom to take, by how much, how sure, and what it costs; or why nobody is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from compare.choice.goals import Goal, passes_for, timed
from compare.choice.selection import Choice, Standing
from compare.circumstances import Run
from compare.findings.processes import FAILED
from compare.findings.summary import WIDENED_FROM, device_time
from compare.findings.verdicts import NEAR, advice, too_near, verdict
from compare.records import PassName
from compare.report import format as fmt
from compare.report import reach_tables
from compare.report.words import listed
from compare.run.reach import Reach, at_length

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
        length = " ".join(word for word in problem.label.split() if word.startswith(("T=", "S=")))
        families.setdefault(reach_tables.title(problem), []).append(length + ("" if alike else f" ({often(weight)})"))
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
    """Whom to take, by how much, how sure and at what cost; or why nobody is named."""
    if not found.standings:
        return "No contender can be compared over the whole of this mix."
    leader, *others = found.standings
    if not others:
        said = f"Nothing to choose: only {leader.contender.name} can be compared over the whole of this mix."
    elif found.winner:
        said = f"Take {leader.contender.name}: {amount(leader, found)}. The next is {beside(others[0], found)}."
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
        told = dict.fromkeys(notice.text for row in each.rows for notice in row.warnings if notice.code == FAILED)
        if told:
            yield f"{each.contender.name} also failed: {fmt.one_line('; '.join(told))}."


def by_the_wall(found: Choice) -> Iterable[str]:
    """Who is ahead of the leader by the wall clock."""
    leader, settings = found.standings[0].contender, found.job.settings
    for each in found.standings:
        if each.wall is None or found.job.goal == "memory" or too_near(each.wall, each.contender, leader, settings):
            continue
        if verdict(each.wall, settings.same_within) == "FASTER":
            yield (
                f"By the wall clock, which holds Python and launches too, {each.contender.name} takes only "
                f"{fmt.ratio(each.wall)} as long as {leader.name}."
            )


def undecided(found: Choice) -> str:
    """Who is level with the leader, and what would tell them apart."""
    leader, *others = found.level
    named = f"{leader.contender.name} ({amount(leader, found)})"
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
        return (
            "What stands in for a count here is growth of resident memory, which varies by tens of percent from "
            "process to process: no winner by less."
        )
    if too_near(each.ratio, each.contender, leader.contender, found.job.settings):
        return (
            "On a CPU two processes of the same program differ by about a percent for as long as they live: "
            f"--processes {WIDENED_FROM} could decide it."
        )
    return f"What would decide it: {advice(each.ratio, found.job.settings.same_within)}."


def amount(each: Standing, found: Choice) -> str:
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
        *(f"sequences up to {reach_tables.longest(reach)} ({reach.pass_name})" for reach in of(reaches, each, found)),
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
        return f"{spent}, which never pays beside {each.against.name}: by the wall clock the mix {lost}"
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
    searched = [f"{reach_tables.title(each.problem)} ({each.contender.name}, {each.pass_name})" for each in reaches]
    shown = listed([*dict.fromkeys(searched)][:MOST_SEARCHES])
    more = len({*searched}) - MOST_SEARCHES
    wanted = listed([*dict.fromkeys(reach_tables.title(problem) for problem in found.job.mix)])
    others = f" and {fmt.plural(more, 'other')}" if more > 0 else ""
    return (
        f"the search that was given is of {shown}{others}, and of no contender here in {wanted} "
        f"({search_pass(found)}); --max-seq-len with these shapes and contenders finds it"
    )


def search_pass(found: Choice) -> PassName:
    """The pass whose longest sequence a job of the goal is held to."""
    return "forward" if found.job.goal == "latency" else "step"
