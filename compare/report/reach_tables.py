"""How far each contender reaches, for the terminal and as a Markdown page; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from compare.maths import prediction
from compare.records import Problem
from compare.report import format as fmt
from compare.report.markdown_text import code, escape
from compare.report.markdown_text import table as markdown_table
from compare.run.reach import Reach

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


def terminal(found: Sequence[Reach]) -> Table:
    """The answers on one problem."""
    shown = Table(title=Text(title(found[0].problem), style="bold"), title_justify="left", box=None, padding=(0, 1))
    for column in COLUMNS:
        justify, folds = "right" if column.startswith(">") else "left", column == "what stopped it"
        shown.add_column(column.removeprefix(">"), justify=justify, no_wrap=not folds, overflow="fold")  # type: ignore[arg-type]
    for line in lines(found):
        shown.add_row(*map(Text, line))
    return shown


def markdown(found: Sequence[Sequence[Reach]], facts: Sequence[str]) -> str:
    """The page: the circumstances, and a table for each problem."""
    parts = ["# How long a sequence fits", NOTE, "\n".join(f"- {escape(fact)}" for fact in facts)]
    for group in found:
        rows = [(code(line[0]), *line[1:4], escape(line[4])) for line in lines(group)]
        parts += [f"## {escape(title(group[0].problem))}", markdown_table(COLUMNS, rows)]
    return "\n\n".join(parts) + "\n"
