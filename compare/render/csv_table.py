"""The report as CSV for other programs: a line for each pass of each row, plain numbers in seconds and bytes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

from compare.analysis.columns import Value, upto
from compare.analysis.entries import entries
from compare.schema.records import Row, Run

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so


def render(run: Run, rows: Sequence[Row]) -> str:
    """The whole table with its heading; all rows, however many there are."""
    columns, out = upto("file"), StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow([column.key for column in columns])
    for entry in entries(run, rows):
        table.writerow([inert(column.value(entry)) for column in columns])
    return out.getvalue()


def inert(value: Value) -> Value:
    """The cell; an apostrophe before text that a spreadsheet would take for a formula shows it as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
