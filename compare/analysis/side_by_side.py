"""How do the contenders compare?  A table for each problem, a line for each pass of each contender."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.columns import Column, upto
from compare.analysis.entries import Entry, entries
from compare.analysis.notices import worded
from compare.analysis.sections import Section, Table, code, plain
from compare.machine.load import BUSY_MACHINE
from compare.results.rows import measurements
from compare.schema.records import Measurement, Row, Run

ORDER = 0
NOTE = "Device time is a median with its 95% confidence interval. What concerns all passes stands in the first line."


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """All problems."""
    found = list(entries(run, rows))
    said = [NOTE, ratio_note(found) or "There is no ratio: no problem has two contenders to compare."]
    return [Section("Side by side", said if found else ["Nothing was measured."], tables(found))]


def of_problem(run: Run, rows: Sequence[Row]) -> Section:
    """One problem that has just been measured, and below its table why a row has no numbers or no verdicts."""
    found = list(entries(run, rows))
    reasons = [plain(circumstances.without_numbers(row)) for row in rows if not isinstance(row, Measurement)]
    noted = (notice for row in measurements(rows) for notice in row.warnings if notice.code == BUSY_MACHINE)
    withheld = dict.fromkeys(f"No verdicts: {plain(worded(notice))}." for notice in noted)
    return Section("", [ratio_note(found)], tables(found), [*withheld, *reasons])


def ratio_note(found: Sequence[Entry]) -> str:
    """What the ratios mean, and the reference where it is the same for all; empty where there are no ratios."""
    names = {entry.reference.name for entry in found if entry.reference}
    if not names:
        return ""
    which = code(names.pop()) if len(names) == 1 else "the contender marked ref"
    return f"Ratio: time / time of the reference (ref), which is {which}; below 1 is faster."


def tables(found: Sequence[Entry]) -> list[Table]:
    """A table for each problem, without the columns that are empty in all of them."""
    columns = [column for column in upto("wide") if any(column.text(entry) not in ("", fmt.NONE) for entry in found)]
    groups = groupby(found, key=lambda entry: entry.row.problem)
    return [Table(columns, list(lines(group, columns)), problem.label) for problem, group in groups]


def lines(found: Iterator[Entry], columns: Sequence[Column]) -> Iterator[list[str]]:
    """A line for each entry; what concerns a whole row stands in the first line of the row only."""
    for _, passes in groupby(found, key=lambda entry: id(entry.row)):
        first, *others = passes
        yield [column.text(first) for column in columns]
        for entry in others:
            yield [column.text(entry) if column.per_pass else "" for column in columns]
