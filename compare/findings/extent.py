"""How much of a large sweep a report shows: tables of a hundred thousand rows are read by programs, not by people."""

from __future__ import annotations

from collections.abc import Sequence

from compare.findings.analysis import by_problem
from compare.records import Row


def first(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows of the first problems, as many whole ones as there is room for, at least one."""
    if len(rows) <= most:
        return list(rows)
    shown: list[Row] = []
    for _, group in by_problem(rows):
        if shown and len(shown) + len(group) > most:
            break
        shown += group
    return shown


def left_out(rows: Sequence[Row], most: int) -> str:
    """In words, what ``first`` leaves out; empty where that is nothing."""
    shown = first(rows, most)
    if len(shown) == len(rows):
        return ""
    problems, all_problems = (len({row.problem for row in each}) for each in (shown, rows))
    return (
        f"the first {problems} of {all_problems} problems ({len(shown)} of {len(rows)} rows), and all that is said "
        "here is of these; as CSV a report has all rows"
    )
