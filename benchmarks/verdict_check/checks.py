"""The three checks: each runs what is wanted and returns tables and requirements."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple, get_args

from benchmarks.verdict_check import tables
from benchmarks.verdict_check.baselines import Baselines, notes
from benchmarks.verdict_check.program import Program
from benchmarks.verdict_check.tables import Table
from benchmarks.verdict_check.trials import (
    Requirement,
    Trial,
    Workers,
    complete,
    equal_requirements,
    ours,
    planted_requirements,
)
from benchmarks.verdict_check.wanted import EQUAL, PLANTED, Wanted, share_of
from compare.analysis.times import Compared

OPPOSITE = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
WHERE: dict[Workers, str] = {"backend": "in one worker", "contender": "in two workers"}
Say = Callable[[str], None]


class Outcome(NamedTuple):
    """What a check found."""

    tables: list[Table]
    requirements: list[Requirement]
    notes: list[str]


def aa(wanted: Wanted, say: Say) -> Outcome:
    """The same contender twice, in one worker and in two."""
    program, baselines = Program(wanted.out, say), Baselines(wanted, wanted.out / "aa-baselines.jsonl", say)
    groups: list[tuple[str, str, list[Compared]]] = []
    trials: list[Trial] = []
    workers: Workers
    for workers, name in product(get_args(Workers), wanted.contenders):
        if wanted.program:
            more = wanted.apart_words if workers == "contender" else ()
            words = (*wanted.words(EQUAL), "--workers", workers, *more)
            found = program.run(f"aa-{workers}-{name}", (name, name), *words)
            groups.append((name, WHERE[workers], found))
            trials += ours(found, workers)
        if wanted.baselines:
            trials += baselines.compare(wanted.equal(name), EQUAL, workers)
    verdicts = tables.verdicts("The same contender twice: this program's verdicts", "workers", groups)
    shown = ([verdicts] if wanted.program else []) + [tables.equal(trials)]
    count = len(groups) * len(wanted.problems(EQUAL)) * len(wanted.passes)
    requirements = [*([complete(trials, count)] if wanted.program else []), *equal_requirements(trials)]
    apart = [f"in two workers: {' '.join(wanted.apart_words)}"] if wanted.program and wanted.apart_words else []
    return Outcome(shown, requirements, apart + (notes(wanted.device) if wanted.baselines else []))


def planted(wanted: Wanted, say: Say) -> Outcome:
    """A contender with extra work beside the plain one, in one worker."""
    program, baselines = Program(wanted.out, say), Baselines(wanted, wanted.out / "planted-baselines.jsonl", say)
    groups: list[tuple[str, str, list[Compared]]] = []
    trials: list[Trial] = []
    for name in wanted.contenders:
        slowed = wanted.slowed(name)
        if wanted.program:
            found = program.run(f"planted-{name}", wanted.slowed_names(name), *wanted.words(PLANTED))
            for share in (share_of(each) for each in slowed[1:]):
                groups.append((name, f"{share}%", [each for each in found if share_of(each.contender) == share]))
            trials += ours(found, "backend")
        if wanted.baselines:
            trials += baselines.compare(slowed, PLANTED, "backend")
    verdicts = tables.verdicts("Planted slow-downs: this program's verdicts", "more work", groups)
    shown = ([verdicts] if wanted.program else []) + [tables.planted(trials)]
    count = len(groups) * len(wanted.problems(PLANTED)) * len(wanted.passes)
    requirements = [*([complete(trials, count)] if wanted.program else []), *planted_requirements(trials)]
    return Outcome(shown, requirements, notes(wanted.device) if wanted.baselines else [])


def repeat(wanted: Wanted, say: Say) -> Outcome:
    """Two complete runs of a quick sweep, without the baselines."""
    program = Program(wanted.out, say)
    words = (*wanted.common_words, "--quick")
    return repeated(*(program.run(name, wanted.contenders, *words) for name in ("first", "second")))


def repeated(first: list[Compared], second: list[Compared]) -> Outcome:
    """How the verdicts of two runs agree; contradictory ones are listed."""
    one, other = (
        {f"{each.contender.name} {each.pass_name} {each.problem.label}": each.verdict for each in run}
        for run in (first, second)
    )
    both = [key for key in one if key in other]
    same = sum(one[key] == other[key] for key in both)
    opposite = [key for key in both if OPPOSITE.get(one[key]) == other[key]]
    table = Table(
        "Two complete runs", (">verdicts", ">the same", ">opposite"), [(str(len(both)), str(same), str(len(opposite)))]
    )
    requirements = [Requirement("no opposite verdicts", f"{len(opposite)} of {len(both)}", bool(both) and not opposite)]
    return Outcome([table], requirements, [f"opposite: {key}: {one[key]}, then {other[key]}" for key in opposite])
