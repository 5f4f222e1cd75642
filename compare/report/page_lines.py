"""The page's table of rows: a line for each pass, with what ran in it and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from compare.circumstances import Run
from compare.findings.entries import Entry, entries
from compare.findings.gather import outcome_of, worst_of
from compare.records import Measurement, PassResult, Row
from compare.report import format as fmt
from compare.report import legend
from compare.report.reasons import LEAST_SHARE
from compare.report.reasons import lines as kernel_lines

COLUMNS = (
    "Problem", "Contender", "Pass", "Device (ms)", "Ratio", "Verdict", "Wall (ms)", "Peak (MB)", "Saved (MB)",
    "% of floor", "Error / allowed", "Result",
)  # fmt: skip
CHOICES = ("Pass", "Verdict", "Result")


class Cell(NamedTuple):
    """What a cell shows and, of a number, by what it is sorted; an empty value stands behind all others."""

    text: str
    value: float | str | None = None


class Line(NamedTuple):
    """A line: its address, its cells, and what opens below the contender's name."""

    key: str
    cells: list[Cell]
    notes: list[str]
    kernels: list[tuple[str, str, str]]


def lines(run: Run, rows: Sequence[Row]) -> Iterator[Line]:
    """All lines."""
    for each in entries(run, rows):
        yield Line(each.key, cells(each), notes(each), kernels(each.result) if each.result else [])


def cells(each: Entry) -> list[Cell]:
    """One line in the order of COLUMNS."""
    row, result = each.row, each.result
    names = [Cell(row.problem.label), Cell(fmt.one_line(row.contender.name)), Cell(each.pass_name or fmt.NONE)]
    if not isinstance(row, Measurement) or result is None or each.device is None or each.wall is None:
        blanks = [Cell("") if name == "Verdict" else Cell(fmt.NONE, "") for name in COLUMNS[3:-1]]
        return [*names, *blanks, Cell(legend.result_word(row))]
    share = each.achieved.share if each.achieved else None
    worst = worst_of(row)
    return [
        *names,
        Cell(fmt.time(each.device), each.device.median),
        Cell(fmt.ratio(each.ratio), each.ratio.median) if each.ratio else Cell(fmt.NONE, ""),
        Cell(each.verdict or ""),
        Cell(fmt.time(each.wall), each.wall.median),
        Cell(legend.peak([result]), result.peak_bytes),
        Cell(fmt.megabytes(row.saved_bytes), "" if row.saved_bytes is None else row.saved_bytes),
        Cell(fmt.NONE, "") if share is None else Cell(fmt.percent(share), share),
        Cell(f"{fmt.error(worst.max_error)} / {fmt.error(worst.allowed_max)}", worst.max_error)
        if worst
        else Cell(fmt.NONE, ""),
        Cell(legend.result_word(row)),
    ]


def notes(each: Entry) -> list[str]:
    """Sentences on a line: its reference, rounds, sources, warnings; of a row without numbers the reason."""
    row, result = each.row, each.result
    if not isinstance(row, Measurement) or result is None or each.device is None:
        return [] if isinstance(row, Measurement) else [fmt.one_line(f"{outcome_of(row)}: {row.reason}")]
    said = [
        f"Ratio to {each.reference.name}." if each.reference else "",
        f"Ran {row.ran}." if row.ran else "",
        f"{fmt.plural(each.device.rounds, 'round')} in {fmt.plural(1 + len(result.repeats), 'process', 'processes')}, "
        f"stopped by {row.stopped}. Peak by {result.peak_source}.",
        "Measured with the device to itself." if row.alone else "",
        *(f"{notice.text} [{notice.code}]" for notice in row.warnings),
    ]
    return [fmt.one_line(text) for text in said if text]


def kernels(result: PassResult) -> list[tuple[str, str, str]]:
    """What ran: name, what it is, and its runs, time and share."""
    return [
        (fmt.one_line(line.name), line.kinds[0], legend.kernel_words(line))
        for line in kernel_lines(result)
        if line.share >= LEAST_SHARE
    ]


def choices(found: Sequence[Line]) -> list[tuple[str, int, list[str]]]:
    """Columns of few words, by which lines are chosen: name, place in the table, and the words."""
    places = [(name, COLUMNS.index(name)) for name in CHOICES]
    return [
        (name, at + 1, [word for word in dict.fromkeys(line.cells[at].text for line in found) if word])
        for name, at in places
    ]
