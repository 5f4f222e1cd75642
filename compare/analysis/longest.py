"""How far each contender reaches, for the terminal and as a Markdown page; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import text as fmt
from compare.maths import prediction
from compare.measure.search import Reach
from compare.schema.records import Problem

COLUMNS = ("contender", "pass", ">longest T", ">scores GB", "what stopped it")
NOTE = (
    "The longest sequence of which one iteration of a pass still ran, with the device to itself: four times as "
    "long until one did not, then bisected to 1/32 or 128 positions. Scores: one B x N x T x T matrix at that length. "
    "Not measured: time."
)


def lines(found: Sequence[Reach]) -> list[tuple[str, ...]]:
    """One line for each contender and pass."""
    return [(each.contender.name, each.pass_name, longest(each), scores(each), stopped(each)) for each in found]


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
    return " ".join(word for word in problem.label.split() if not word.startswith(("T=", "S=")))
