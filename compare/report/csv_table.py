"""The report as CSV for other programs: a line for each pass of each row, plain numbers in seconds and bytes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from itertools import groupby
from math import isfinite
from typing import Any

from compare.circumstances import Run
from compare.findings import gather
from compare.findings.entries import Entry, entries
from compare.findings.summary import Estimate
from compare.records import Measurement, Row, TensorError
from compare.report import legend

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
PROBLEM = (
    "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "d_model", "mask", "dtype", "matmul_precision",
    "layers", "layout", "devices", "seed",
)  # fmt: skip
CONTENDER = ("backend", "variant", "mode", "entrant", "release", "python")
ROW = ("ran", "saved_bytes", "input_bytes", "output_bytes", "stopped", "alone", "stage", "reason")
COSTS = ("trace_s", "compile_s", "first_call_s", "warmup_s")
FLOOR = ("floor_s", "bound", "share", "bytes_per_s", "flops_per_s")
Column = Callable[[Any], Any]


def fields(names: Sequence[str], part: Column) -> dict[str, Column]:
    """Columns that hold the fields of a part by their own names, empty where there is no such part or field."""
    return {name: lambda each, name=name: getattr(part(each), name, None) for name in names}  # type: ignore[misc]


def ends(name: str, unit: str) -> dict[str, Column]:
    """Median and both ends of a 95% interval, which are empty where there are too few rounds for one."""

    def end(each: Entry, which: str) -> float | None:
        found: Estimate | None = getattr(each, name)
        return getattr(found, which) if found and isfinite(found.high) else None

    return {
        f"{name}{unit}": lambda each: getattr(getattr(each, name), "median", None),
        f"{name}_low{unit}": lambda each: end(each, "low"),
        f"{name}_high{unit}": lambda each: end(each, "high"),
    }


OF_ROW: dict[str, Column] = {
    **fields(PROBLEM, lambda row: row.problem),
    **fields(CONTENDER, lambda row: row.contender),
    "result": legend.result_word,
    **fields(ROW, lambda row: row),
    "max_error": lambda row: getattr(worst(row), "max_error", None),
    "allowed_error": lambda row: getattr(worst(row), "allowed_max", None),
    "warnings": lambda row: " ".join(notice.code for notice in getattr(row, "warnings", ())),
}
OF_PASS: dict[str, Column] = {
    "pass": lambda each: each.pass_name,
    **ends("device", "_s"),
    **ends("wall", "_s"),
    "rounds": lambda each: getattr(each.device, "rounds", None),
    "processes": lambda each: each.result and 1 + len(each.result.repeats),
    **ends("ratio", ""),
    "reference": lambda each: each.reference and inert(each.reference.name),
    "verdict": lambda each: each.verdict,
    **fields(("peak_bytes", "peak_source"), lambda each: each.result),
    **fields(FLOOR, lambda each: each.achieved),
    **fields(COSTS, lambda each: getattr(each.row, "costs", {}).get(each.pass_name)),
    "key": lambda each: each.key,
}


def worst(row: Row) -> TensorError | None:
    """Of the row's tensors the one nearest to its allowance."""
    return gather.worst_of(row) if isinstance(row, Measurement) else None


def render(run: Run, rows: Sequence[Row]) -> str:
    """The whole table with its heading; all rows, however many there are."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*OF_ROW, *OF_PASS])
    writer.writerows(lines(entries(run, rows)))
    return out.getvalue()


def lines(found: Iterable[Entry]) -> Iterator[list[Any]]:
    """The cells of each line; what belongs to the row is the same in all of its passes."""
    for _, passes in groupby(found, key=lambda each: id(each.row)):
        first, *others = passes
        shared = [inert(column(first.row)) for column in OF_ROW.values()]
        for each in (first, *others):
            yield [*shared, *(column(each) for column in OF_PASS.values())]


def inert(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front, which shows it as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
