"""A column is written once: one more in the list stands in every output."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from compare.analysis import columns
from compare.analysis.entries import Entry
from compare.analysis.sections import Detail
from compare.render import csv_table, html
from compare.schema.records import Row
from tests import samples
from tests.reports.rendered import page, part, printed, table_text
from tests.samples import EAGER, JAX, measurement, problem

ROWS: list[Row] = [measurement(problem(), JAX), measurement(problem(), EAGER), samples.skip(problem())]


def tokens_per_s(entry: Entry) -> float | None:
    """Positions of all sequences over device time."""
    where = entry.row.problem
    return where.batch * where.q_len / entry.device.median if entry.device else None


def derived(detail: Detail) -> columns.Column:
    """A column that no result has yet."""
    text = columns.written(tokens_per_s, lambda value: f"{value / 1e6:.2f}")
    return columns.Column(
        "Tokens", "M/s", "right", detail, key="tokens_per_s", value=tokens_per_s, text=text, per_pass=True
    )


def shown() -> dict[str, bool]:
    """Which outputs have the column, with the 4096 tokens in 1 ms of the first pass."""
    lines = list(csv.DictReader(StringIO(csv_table.render(samples.run(), ROWS))))
    headings = [column.heading for column in columns.upto("page")]
    first = next(iter(html.row_lines(samples.run(), ROWS)))
    cells = dict(zip(headings, first.cells, strict=True))
    return {
        "terminal": "Tokens" in printed(ROWS, 80) and " 4.10" in printed(ROWS, 80),
        "wide terminal": "Tokens" in printed(ROWS, 200) and " 4.10" in printed(ROWS, 200),
        "while it runs": "Tokens" in table_text(ROWS) and " 4.10" in table_text(ROWS),
        "Markdown": "| Tokens (M/s) |" in page(ROWS) and "| 4.10 |" in part(ROWS, "Side by side"),
        "HTML": "<th>Tokens (M/s)</th>" in html.render(samples.run(), ROWS) and cells["Tokens (M/s)"].text == "4.10",
        "CSV": "tokens_per_s" in lines[0] and float(lines[0]["tokens_per_s"]) == pytest.approx(4096 / 1e-3),
    }


@pytest.mark.parametrize(
    ("detail", "without"),
    [
        ("always", []),
        ("wide", ["terminal", "while it runs"]),
        ("page", ["terminal", "wide terminal", "while it runs", "Markdown"]),
    ],
)
def test_a_derived_column_is_one_entry(detail: Detail, without: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, derived(detail)))
    assert shown() == {name: name not in without for name in shown()}


def test_each_column_has_a_key_of_its_own_and_fits_a_row_without_numbers() -> None:
    keys = [column.key for column in columns.COLUMNS]
    assert len(set(keys)) == len(keys)
    [last] = [line for line in csv.DictReader(StringIO(csv_table.render(samples.run(), ROWS))) if not line["pass"]]
    assert (last["result"], last["device_s"], last["reason"]) == ("skip", "", ROWS[2].reason)  # type: ignore[union-attr]


def test_what_concerns_a_whole_row_is_said_once() -> None:
    lines = [line for line in part(ROWS, "Side by side").splitlines() if line.startswith("|")]
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["ok", "", "", "ok", "", "", "skip"]
