"""Tables of the checks, for the terminal and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rich import table as rich

from benchmarks.verdict_check.trials import Trial, by_method, tally
from benchmarks.verdict_check.wanted import share_of
from compare.analysis.times import Compared
from compare.render.markdown_text import table as markdown_table
from compare.stats.verdicts import VERDICTS


class Table(NamedTuple):
    """A title, headings (``>`` aligns to the right) and cells."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def terminal(self) -> rich.Table:
        """For Rich."""
        shown = rich.Table(title=self.title)
        for column in self.columns:
            shown.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
        for row in self.rows:
            shown.add_row(*row)
        return shown

    def markdown(self) -> str:
        """A section of a page.  A pipe would end a cell, so headings avoid it."""
        columns = [column.replace("|ratio - 1|", "ratio - 1, without sign") for column in self.columns]
        return f"## {self.title}\n\n{markdown_table(columns, self.rows)}\n"


def verdicts(title: str, what: str, groups: Sequence[tuple[str, str, Sequence[Compared]]]) -> Table:
    """Counts of the program's verdicts, one line per contender and workers or extra work."""
    columns = ("contender", what, ">trials", *(f">{word}" for word in VERDICTS))
    rows = []
    for contender, which, found in groups:
        if found:
            counts = Counter(each.verdict for each in found)
            numbers = (str(len(found)), *(str(counts[word]) for word in VERDICTS))
            width = median(each.ratio.half_width for each in found)
            rows.append((contender, which, *numbers, _off(found), f"±{width:.2%}"))
    return Table(title, (*columns, ">median |ratio - 1|", ">median interval"), rows)


def _off(found: Sequence[Compared]) -> str:
    return f"{median(abs(each.ratio.median - 1) for each in found):.2%}"


def equal(trials: Sequence[Trial]) -> Table:
    """Equal pairs: how often each method called them different."""
    counts = (">trials", ">called different", ">of them", ">in one process", ">in two")
    columns = ("method", *counts, ">median |ratio - 1|")
    rows = []
    for method, found in by_method(trials).items():
        all_of_it = tally(found)
        places = (tally([each for each in found if each.workers == way]) for way in ("backend", "contender"))
        parts = [f"{each.different} of {each.trials}" for each in places]
        share = f"{all_of_it.different / all_of_it.trials:.1%}"
        numbers = (str(all_of_it.trials), str(all_of_it.different), share, *parts)
        rows.append((method, *numbers, f"{all_of_it.median_off:.2%}"))
    return Table("The same contender twice: no significant difference expected", columns, rows)


def planted(trials: Sequence[Trial]) -> Table:
    """Planted slow-downs: how often each method found them, and how often it called them FASTER."""
    columns = (
        "method",
        ">more work",
        ">trials",
        ">found (slower)",
        ">of them",
        ">wrong direction",
        ">median |ratio - 1|",
    )
    rows = []
    for method, found in by_method(trials).items():
        for share in sorted({share_of(each.contender) for each in found}):
            part = tally([each for each in found if share_of(each.contender) == share])
            numbers = (f"{share}%", str(part.trials), str(part.slower), f"{part.slower / part.trials:.1%}")
            rows.append((method, *numbers, str(part.faster), f"{part.median_off:.2%}"))
    return Table("Planted slow-downs: SLOWER expected", columns, rows)
