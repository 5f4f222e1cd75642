"""The columns of the table of results, each once: the terminal, Markdown, HTML and CSV draw them from ``COLUMNS``."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from compare.analysis import circumstances, sections
from compare.analysis import text as fmt
from compare.analysis.entries import Entry
from compare.analysis.sections import Detail, code, plain
from compare.profile.kinds import NOT_NAIVE
from compare.schema.records import Measurement, Row, TensorError
from compare.stats.estimates import trusted

Value = float | str | None
DETAILS: tuple[Detail, ...] = ("always", "wide", "page", "file")


class Column(sections.Column, frozen=True, kw_only=True):
    """A column of the table of results.

    ``key``: its name for other programs.  ``value``: in SI units.  ``text``: short, in the unit shown.  ``per_pass``:
    it differs between the passes of a row.
    """

    key: str
    value: Callable[[Entry], Value]
    text: Callable[[Entry], str]
    per_pass: bool = False


def upto(detail: Detail) -> list[Column]:
    """The columns that an output with room for this much detail shows."""
    return [column for column in COLUMNS if DETAILS.index(column.detail) <= DETAILS.index(detail)]


def at(path: str) -> Callable[[Entry], Any]:
    """What stands at a path of attributes; None where an entry has no such part, or its kind of row no such field."""
    names = path.split(".")

    def value(entry: Entry) -> Any:
        found: Any = entry
        for name in names:
            if found is None or (found is entry.row and not hasattr(found, name)):
                return None
            found = getattr(found, name)
        return found

    return value


def as_it_is(value: Value) -> str:
    """A word or a whole number as text."""
    return plain(str(value))


def written(value: Callable[[Entry], Any], write: Callable[[Any], str] = as_it_is) -> Callable[[Entry], str]:
    """The short text of a value; a dash for none."""

    def text(entry: Entry) -> str:
        found = value(entry)
        return fmt.NONE if found is None else write(found)

    return text


def kept(key: str, value: Callable[[Entry], Value], per_pass: bool = True) -> Column:
    """A column for other programs only."""
    return Column(key, detail="file", key=key, value=value, text=written(value), per_pass=per_pass)


def fields(part: str, *names: str, per_pass: bool = False) -> tuple[Column, ...]:
    """Columns for other programs: fields of one part of an entry by their own names."""
    return tuple(kept(name, at(f"{part}.{name}"), per_pass) for name in names)


def ends(part: str, suffix: str = "") -> tuple[Column, Column]:
    """The ends of a 95% interval for other programs, empty where there are too few rounds for one."""
    estimate = at(part)

    def low(entry: Entry) -> Value:
        found = estimate(entry)
        return found.low if found and isfinite(found.high) else None

    def high(entry: Entry) -> Value:
        found = estimate(entry)
        return found.high if found and isfinite(found.high) else None

    return kept(f"{part}_low{suffix}", low), kept(f"{part}_high{suffix}", high)


def result(entry: Entry) -> str:
    """The outcome of the row in a word."""
    return circumstances.result_word(entry.row)


def contender_text(entry: Entry) -> str:
    """The contender, and below it what is special about its row."""
    return "\n".join(filter(None, [code(entry.row.contender.name), ", ".join(marks_of(entry.row))]))


def marks_of(row: Row) -> list[str]:
    """What is special about a row, in words."""
    if not isinstance(row, Measurement):
        return []
    others = sum(notice.code != NOT_NAIVE for notice in row.warnings)
    said = {
        f"ran {code(row.ran)}": bool(row.ran),
        "alone": row.alone,
        "not naive": others < len(row.warnings),
        fmt.plural(others, "warning"): others > 0,
    }
    return [word for word, holds in said.items() if holds]


def warning_codes(entry: Entry) -> Value:
    """The codes of the row's warnings."""
    return " ".join(notice.code for notice in entry.row.warnings) if isinstance(entry.row, Measurement) else None


def error_text(worst: TensorError) -> str:
    """An error beside what is allowed."""
    return f"{fmt.error(worst.max_error)} / {fmt.error(worst.allowed_max)}"


def ratio_text(entry: Entry) -> str:
    """The ratio, or why there is none."""
    row = entry.row
    if entry.ratio:
        return fmt.ratio(entry.ratio)
    if entry.reference is None or not isinstance(row, Measurement):
        return fmt.NONE
    if row.contender == entry.reference:
        return "ref"
    return "no ratio" if row.alone or not trusted(row) else fmt.NONE


def reference_of(entry: Entry) -> Value:
    """The contender that the ratio refers to."""
    return entry.reference.name if entry.reference and entry.ratio else None


def processes(entry: Entry) -> Value:
    """In how many processes the pass was measured."""
    return 1 + len(entry.result.repeats) if entry.result else None


def peak_text(entry: Entry) -> str:
    """The peak of the pass."""
    return circumstances.peak([entry.result] if entry.result else [])


COLUMNS: tuple[Column, ...] = (
    *fields("row.problem", "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "d_model", "mask", "dtype"),
    *fields("row.problem", "matmul_precision", "layers", "layout", "devices", "seed"),
    Column(
        "Problem",
        detail="page",
        key="problem",
        value=at("row.problem.label"),
        text=written(at("row.problem.label")),
    ),
    *fields("row.contender", "backend", "variant", "mode", "entrant", "release", "python"),
    Column("Contender", key="contender", value=at("row.contender.name"), text=contender_text),
    Column("Result", key="result", value=result, text=result),
    *fields("row", "ran"),
    Column(
        "Saved",
        "MB",
        "right",
        key="saved_bytes",
        value=at("row.saved_bytes"),
        text=written(at("row.saved_bytes"), fmt.megabytes),
    ),
    *fields("row", "input_bytes", "output_bytes"),
    Column("Stopped", detail="wide", key="stopped", value=at("row.stopped"), text=written(at("row.stopped"))),
    *fields("row", "alone", "stage", "reason"),
    Column(
        "Error / allowed",
        "",
        "right",
        "wide",
        key="max_error",
        value=at("worst.max_error"),
        text=written(at("worst"), error_text),
    ),
    kept("allowed_error", at("worst.allowed_max"), per_pass=False),
    kept("warnings", warning_codes, per_pass=False),
    Column("Pass", key="pass", value=at("pass_name"), text=written(at("pass_name")), per_pass=True),
    Column(
        "Device",
        "ms",
        "right",
        key="device_s",
        value=at("device.median"),
        text=written(at("device"), fmt.time),
        per_pass=True,
    ),
    *ends("device", "_s"),
    Column(
        "Wall",
        "ms",
        "right",
        "wide",
        key="wall_s",
        value=at("wall.median"),
        text=written(at("wall"), fmt.time),
        per_pass=True,
    ),
    *ends("wall", "_s"),
    kept("rounds", at("device.rounds")),
    kept("processes", processes),
    Column("Ratio", "", "right", key="ratio", value=at("ratio.median"), text=ratio_text, per_pass=True),
    *ends("ratio"),
    kept("reference", reference_of),
    Column("Verdict", key="verdict", value=at("verdict"), text=lambda entry: entry.verdict or "", per_pass=True),
    Column("Peak", "MB", "right", key="peak_bytes", value=at("result.peak_bytes"), text=peak_text, per_pass=True),
    kept("peak_source", at("result.peak_source")),
    Column(
        "Kernels",
        "",
        "right",
        "wide",
        key="kernels",
        value=at("kernels"),
        text=written(at("kernels")),
        per_pass=True,
    ),
    kept("floor_s", at("achieved.bound_s")),
    *fields("achieved", "bound", per_pass=True),
    Column(
        "% of roofline",
        "",
        "right",
        "wide",
        key="share",
        value=at("achieved.share"),
        text=written(at("achieved.share"), fmt.percent),
        per_pass=True,
    ),
    *fields("achieved", "bytes_per_s", "flops_per_s", per_pass=True),
    *fields("cost", "trace_s", "compile_s", "first_call_s", "warmup_s", per_pass=True),
    kept("key", at("key")),
)
