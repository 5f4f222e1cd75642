"""The longest sequence that fits, for each contender."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number
from compare.maths import prediction
from compare.measure.search import Reach
from compare.schema.records import Problem, Run

TITLE = "How long a sequence fits"
COLUMNS = (Column("contender"), Column("pass"), number("longest T"), number("scores", "GB"), Column("what stopped it"))
NOTE = (
    "The longest sequence of which one iteration of a pass ran, alone on the device. The length grew fourfold "
    "until one did not fit, then was bisected to 1/32 of it or 128 positions. Scores: one B x N x T x T matrix at that "
    "length. Time was not measured."
)
UNUSED = ("incomplete", "budget", "processes", "cache", "seed", "passes")  # settings without a part in a search


def about(run: Run) -> Section:
    """What was searched, and the circumstances."""
    points = [f"{name}: {value}" for name, value in circumstances.facts(run, []) if name not in UNUSED]
    return Section("Search", [NOTE], points=points)


def sections(found: Iterable[Reach]) -> list[Section]:
    """A table for each problem, whatever the lengths."""
    groups: dict[Problem, list[Reach]] = {}
    for each in found:
        groups.setdefault(replace(each.problem, q_len=1, kv_len=1), []).append(each)
    return [section(group) for group in groups.values()]


def section(group: Sequence[Reach]) -> Section:
    """The answers on one problem."""
    return Section(title(group[0].problem), tables=[Table(COLUMNS, [line(each) for each in group])])


def line(each: Reach) -> list[str]:
    """One contender and pass."""
    return [code(each.contender.name), each.pass_name, longest(each), scores(each), stopped(each)]


def longest(each: Reach) -> str:
    """The length, ``at least`` where nothing stopped it, a dash where not even the shortest fits."""
    if not each.longest:
        return fmt.NONE
    return f"{each.longest}" if each.refused else f">= {each.longest}"


def scores(each: Reach) -> str:
    """The size of a score matrix of that length."""
    return f"{prediction.score_bytes(each.problem) / fmt.GB:.2f}" if each.longest else fmt.NONE


def stopped(each: Reach) -> str:
    """At which length it did not fit, and why."""
    return fmt.one_line(f"T={each.refused}: {each.reason}") if each.refused else "nothing up to there"


def title(problem: Problem) -> str:
    """The problem without its length."""
    return problem.label_without("q_len", "kv_len")
