"""The report as CSV for other programs: a line for each pass of each row, plain numbers in seconds and bytes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from math import isfinite

from compare.analysis import accuracy, circumstances
from compare.analysis.entries import Entry, entries
from compare.schema.records import Measurement, Row, Run
from compare.stats.estimates import Estimate

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
SIZES = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "d_model")
PROBLEM = (*SIZES, "mask", "dtype", "matmul_precision", "layers", "layout", "devices", "seed")
CONTENDER = ("backend", "variant", "mode", "entrant", "release", "python")
BYTES = ("saved_bytes", "input_bytes", "output_bytes")
ROW = ("result", "ran", *BYTES, "stopped", "alone", "stage", "reason", "max_error", "allowed_error", "warnings")
TIMES = ("device_s", "device_low_s", "device_high_s", "wall_s", "wall_low_s", "wall_high_s")
RATIO = ("ratio", "ratio_low", "ratio_high", "reference", "verdict")
FLOOR = ("floor_s", "bound", "share", "bytes_per_s", "flops_per_s")
COSTS = ("trace_s", "compile_s", "first_call_s", "warmup_s")
PASS = ("pass", *TIMES, "rounds", "processes", *RATIO, "peak_bytes", "peak_source", *FLOOR, *COSTS, "key")
COLUMNS = (*PROBLEM, *CONTENDER, *ROW, *PASS)
Cell = str | float | None
Cells = dict[str, Cell]  # by column; a column without a cell is empty


def render(run: Run, rows: Sequence[Row]) -> str:
    """The whole table with its heading; all rows, however many there are."""
    out = StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for each in entries(run, rows):
        found = cells(each)
        table.writerow([inert(found.get(name)) for name in COLUMNS])
    return out.getvalue()


def cells(each: Entry) -> Cells:
    """The cells of one pass of one row."""
    row = each.row
    return {
        **fields(row.problem, PROBLEM),
        **fields(row.contender, CONTENDER),
        "result": circumstances.result_word(row),
        **(of_measurement(row) if isinstance(row, Measurement) else fields(row, ("stage", "reason"))),
        **of_pass(each),
        "key": each.key,
    }


def of_measurement(row: Measurement) -> Cells:
    """What is said once of a row with numbers."""
    worst = accuracy.worst_of(row)
    return {
        **fields(row, ("ran", *BYTES, "stopped")),
        "alone": str(row.alone),
        "max_error": worst.max_error if worst else None,
        "allowed_error": worst.allowed_max if worst else None,
        "warnings": " ".join(notice.code for notice in row.warnings),
    }


def of_pass(each: Entry) -> Cells:
    """What is said of one pass; nothing for a row without numbers."""
    row, result = each.row, each.result
    if result is None or each.device is None or not isinstance(row, Measurement):
        return {}
    return {
        "pass": each.pass_name,
        **ends("device{}_s", each.device),
        **ends("wall{}_s", each.wall),
        "rounds": each.device.rounds,
        "processes": 1 + len(result.repeats),
        **ends("ratio{}", each.ratio),
        "reference": each.reference.name if each.reference else None,
        "verdict": each.verdict,
        **fields(result, ("peak_bytes", "peak_source")),
        **fields(each.achieved, FLOOR),
        **fields(row.costs.get(each.pass_name or ""), COSTS),
    }


def ends(name: str, found: Estimate | None) -> Cells:
    """Median and both ends of a 95% interval, which are empty where there are too few rounds for one."""
    if found is None:
        return {}
    low, high = (found.low, found.high) if isfinite(found.high) else (None, None)
    return {name.format(""): found.median, name.format("_low"): low, name.format("_high"): high}


def fields(part: object, names: Sequence[str]) -> Cells:
    """Fields of a record by their own names; None where there is no such record or field."""
    return {name: getattr(part, name, None) for name in names}


def inert(value: Cell) -> Cell:
    """The cell; an apostrophe before text that a spreadsheet would take for a formula shows it as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
