"""The report as CSV for other programs: a line for each pass of each row, plain numbers in seconds and bytes.

A line is made once and read by programs: msgspec writes its numbers, twenty times faster than ``csv`` does, which is
left with the texts, most of which many lines share.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from io import StringIO
from itertools import groupby
from math import isfinite
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from compare.analysis import accuracy, circumstances
from compare.analysis.entries import Entry, entries
from compare.analysis.roofline import Achieved
from compare.schema.records import Contender, Measurement, Problem, Row, Run
from compare.stats.estimates import Estimate

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
SIZES = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "d_model")
PROBLEM = (*SIZES, "mask", "dtype", "matmul_precision", "layers", "layout", "devices", "seed")
fields_of_problem = attrgetter(*PROBLEM)
CONTENDER = ("backend", "variant", "mode", "entrant", "release", "python")
BYTES = ("saved_bytes", "input_bytes", "output_bytes")
ROW = ("result", "ran", *BYTES, "stopped", "alone", "stage", "reason", "max_error", "allowed_error", "warnings")
TIMES = ("device_s", "device_low_s", "device_high_s", "wall_s", "wall_low_s", "wall_high_s")
RATIO = ("ratio", "ratio_low", "ratio_high", "reference", "verdict")
FLOOR = ("floor_s", "bound", "share", "bytes_per_s", "flops_per_s")
COSTS = ("trace_s", "compile_s", "first_call_s", "warmup_s")
PASS = ("pass", *TIMES, "rounds", "processes", *RATIO, "peak_bytes", "peak_source", *FLOOR, *COSTS, "key")
COLUMNS = (*PROBLEM, *CONTENDER, *ROW, *PASS)
EMPTY = Raw(b"")
BLANK_FLOOR, BLANK_COSTS = [EMPTY] * len(FLOOR), [EMPTY] * len(COSTS)
JSON = msgspec.json.Encoder()
Cells = list[Any]  # numbers, and whatever is written already


def render(run: Run, rows: Sequence[Row]) -> str:
    """The whole table with its heading; all rows, however many there are."""
    return "\n".join([",".join(COLUMNS), *map(written, lines(entries(run, rows))), ""])


def written(cells: Cells) -> str:
    """Cells as a line: a list of JSON without its brackets."""
    return JSON.encode(cells)[1:-1].decode()


def lines(found: Iterable[Entry]) -> Iterator[Cells]:
    """The cells of each line; what belongs to the row is the same in all of its passes."""
    for _, passes in groupby(found, key=lambda each: id(each.row)):
        first, *others = passes
        row = first.row
        shared = [of_problem(row.problem), of_contender(row.contender), *of_row(row)]
        for each in (first, *others):
            yield [*shared, *of_pass(each)]


@lru_cache(maxsize=2**8)
def of_problem(problem: Problem) -> Raw:
    """All cells of a problem as one."""
    return Raw(written([*map(cell, fields_of_problem(problem))]).encode())


@lru_cache(maxsize=2**8)
def of_contender(contender: Contender) -> Raw:
    """All cells of a contender as one."""
    return Raw(written([cell(getattr(contender, name)) for name in CONTENDER]).encode())


def of_row(row: Row) -> Cells:
    """What is said once of a row, in the order of ROW."""
    result = text(circumstances.result_word(row))
    if not isinstance(row, Measurement):
        stage = cell(getattr(row, "stage", None))
        return [result, *[EMPTY] * 6, stage, text(row.reason), *[EMPTY] * 3]
    worst = accuracy.worst_of(row)
    errors = (worst.max_error, worst.allowed_max) if worst else (EMPTY, EMPTY)
    sizes = (cell(row.saved_bytes), row.input_bytes, row.output_bytes)
    codes = text(" ".join(notice.code for notice in row.warnings))
    return [result, text(row.ran), *sizes, text(row.stopped), text(str(row.alone)), EMPTY, EMPTY, *errors, codes]


def of_pass(each: Entry) -> Cells:
    """One pass, in the order of PASS; of a row without numbers its key alone."""
    result, reached = each.result, each.achieved
    if result is None or each.device is None or not isinstance(each.row, Measurement):
        return [*[EMPTY] * (len(PASS) - 1), Raw(each.key.encode())]
    reference = text(each.reference.name) if each.reference else EMPTY
    cost = each.row.costs.get(each.pass_name or "")
    return [
        text(each.pass_name or ""),
        *ends(each.device),
        *ends(each.wall),
        each.device.rounds,
        1 + len(result.repeats),
        *ends(each.ratio),
        reference,
        text(each.verdict or ""),
        result.peak_bytes,
        text(result.peak_source),
        *(of_floor(reached) if reached else BLANK_FLOOR),
        *((cost.trace_s, cost.compile_s, cost.first_call_s, cost.warmup_s) if cost else BLANK_COSTS),
        Raw(each.key.encode()),
    ]


def of_floor(reached: Achieved) -> Cells:
    """What a pass reached of its floor, in the order of FLOOR."""
    floor = [cell(reached.floor_s), text(reached.bound or ""), cell(reached.share)]
    return [*floor, reached.bytes_per_s, reached.flops_per_s]


def ends(found: Estimate | None) -> Cells:
    """Median and both ends of a 95% interval, which are empty where there are too few rounds for one."""
    if found is None:
        return [EMPTY, EMPTY, EMPTY]
    return [found.median, found.low, found.high] if isfinite(found.high) else [found.median, EMPTY, EMPTY]


def cell(value: str | float | None) -> Any:
    """A value as a cell; nothing for None."""
    if value is None:
        return EMPTY
    return text(value) if isinstance(value, str) else value


@lru_cache(maxsize=2**12)
def text(value: str) -> Raw:
    """Text as a cell, in quotation marks where it needs them.

    What a spreadsheet would take for a formula gets an apostrophe in front, which shows it as it is.
    """
    out = StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow([f"'{value}" if value.startswith(FORMULA) else value, None])
    return Raw(out.getvalue().removesuffix(",\n").encode())
