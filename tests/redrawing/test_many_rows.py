"""Of very many rows a report shows a part and says so, and its work grows with their number, not its square."""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from compare.analysis import times
from compare.analysis.times import Extent
from compare.cli import report
from compare.render import csv_table, html, markdown, terminal
from compare.schema.records import Row, Run
from tests import samples
from tests.redrawing.written import folder
from tests.reports.rendered import printed
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

ROOT = Path(__file__).parents[2]


def test_a_large_sweep_is_shown_in_part_and_says_so() -> None:
    rows = [measurement(problem(length), who) for length in range(1, 101) for who in (JAX, EAGER, COMPILE)]
    assert times.first(rows, Extent(300, 1)) == rows
    assert times.left_out(rows, Extent(300, 1)) == ""
    assert times.first(rows, Extent(299, 299)) == rows[:297]
    assert times.first(rows, Extent(299, 10)) == rows[:9]
    assert times.first(rows, Extent(1, 1)) == rows[:3]
    assert times.left_out(rows, Extent(299, 299)).startswith("the first 99 of 100 problems (297 of 300 rows)")
    text = printed(rows, 200)
    assert f"the first 50 of 100 problems ({terminal.SHOWN.of_more} of 300 rows)" in text
    assert "B=4 T=50 " in text
    assert "B=4 T=51 " not in text


def calls(rows: list[Row], render: Callable[[Run, list[Row]], object]) -> int:
    """How many functions a report calls; unlike its time that is the same each time."""
    profile = cProfile.Profile()
    profile.runcall(render, samples.run(), rows)
    return sum(each.callcount for each in profile.getstats())


def through_a_file(run: Run, rows: list[Row]) -> object:
    """Rows as they are written, read and joined."""
    with TemporaryDirectory() as place:
        return report.read([folder(Path(place) / "run", run, *rows)], "report")


def many(count: int) -> list[Row]:
    """A row of each of so many problems."""
    return [measurement(problem(1 + number)) for number in range(count)]


RENDERED = [markdown.render, csv_table.render, lambda run, rows: printed(rows, 100, run), through_a_file]


@pytest.mark.parametrize("render", RENDERED, ids=["markdown", "csv", "terminal", "reading"])
def test_no_report_compares_each_row_with_each_other_one(render: Callable[[Run, list[Row]], object]) -> None:
    calls(many(2), render)  # imports what is imported late
    assert calls(many(400), render) < 2.2 * calls(many(200), render)


def test_the_table_of_the_page_compares_no_row_with_each_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compare.render.markdown.SHOWN", Extent(6, 6))  # the sections are those of Markdown
    calls(many(2), html.render)
    few, twice, four_times = (calls(many(count), html.render) for count in (100, 200, 400))
    assert four_times - twice < 2.2 * (twice - few)


def test_markdown_shows_the_first_of_very_many() -> None:
    rows: list[Row] = [measurement(problem(1 + number)) for number in range(markdown.SHOWN.most + 1)]
    assert f"the first {markdown.SHOWN.of_more} of {len(rows)} problems" in markdown.render(samples.run(), rows)
    assert "the first" not in markdown.render(samples.run(), rows[1:]).split("## Side by side")[0]


def test_how_much_is_shown_stands_in_the_docs() -> None:
    reading = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    assert f"| terminal | the first {terminal.SHOWN.of_more} |" in reading
    whole, part = markdown.SHOWN
    assert f"sections of the page | all of up to {whole:,}, the first {part} of more |" in reading
    assert f"| table of rows in the page | the first {html.IN_TABLE.of_more:,} |" in reading
