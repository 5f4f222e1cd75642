"""The roofline bound of a pass: the bytes and FLOPs that it needs over the rates of this device.

Roofline (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785): moving and computing may overlap, so the
slower of the two is the bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Literal

import msgspec

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number, plain
from compare.maths.traffic import Work, work
from compare.profile.kinds import NOT_NAIVE
from compare.results.rows import measurements
from compare.schema.records import Contender, DeviceRate, Dtype, LinkRate, Measurement, PassName, Precision, Row, Run
from compare.stats.estimates import device_time, trusted
from compare.variants import description

Bound = Literal["memory", "compute"]

# What is less than so many times the last-level cache is served from the cache in good part from pass to pass.
OVER_CACHE = 4


class Rates(msgspec.Struct, frozen=True):
    """The best that any backend reached on the device, bytes and FLOPs per second; None where nothing is known."""

    copy_bytes_per_s: float | None = None
    matmul_flops_per_s: float | None = None
    cache_bytes: int | None = None


class Achieved(msgspec.Struct, frozen=True):
    """What a pass reached by the count of its variant, and its roofline bound; ``share`` is bound over time."""

    bytes_per_s: float
    flops_per_s: float
    bound_s: float | None = None
    bound: Bound | None = None
    share: float | None = None


def best_rates(rates: Iterable[DeviceRate], dtype: Dtype, precision: Precision) -> Rates:
    """The better of the backends' figures: one device has one roofline."""
    found = [rate for rate in rates if (rate.dtype, rate.matmul_precision) == (dtype, precision)]
    return Rates(
        _largest(rate.copy_bytes_per_s for rate in found),
        _largest(rate.matmul_flops_per_s for rate in found),
        max((rate.cache_bytes for rate in found if rate.cache_bytes), default=None),
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None and isfinite(value) and value > 0), default=None)


def from_memory(work: Work, cache_bytes: int | None) -> int:
    """The bytes that a pass moves and no cache serves: a small matrix, and small inputs, are not read again."""
    limit = OVER_CACHE * (cache_bytes or 0)
    scores = 0 if work.matrix_bytes < limit else work.size_bytes - work.once_bytes
    return scores + (0 if work.once_bytes < limit else work.once_bytes)


def cached(work: Work, cache_bytes: int | None) -> bool:
    """Whether a cache serves a part of what the pass moves, so that its GB/s are not those of memory."""
    return from_memory(work, cache_bytes) < work.size_bytes


def bound(work: Work, rates: Rates) -> tuple[float, Bound] | None:
    """The roofline bound in seconds, and which of the two rates sets it; None unless both are known."""
    if rates.copy_bytes_per_s is None or rates.matmul_flops_per_s is None:
        return None
    compute_s = work.flops / rates.matmul_flops_per_s
    memory_s = from_memory(work, rates.cache_bytes) / rates.copy_bytes_per_s
    return (memory_s, "memory") if memory_s > compute_s else (compute_s, "compute")


def work_of(row: Measurement, name: PassName) -> Work | None:
    """The work of what the row ran."""
    return work(row.problem, name, description(row.contender.backend, row.ran or row.contender.variant))


def achieved(row: Measurement, name: PassName, rates: Rates) -> Achieved | None:
    """What one pass of a row reached; None where the pass, its time or the count of its variant is missing."""
    count = work_of(row, name)
    result = row.passes.get(name)
    if count is None or result is None or not result.device_s:
        return None
    time_s = device_time(result).median
    if not time_s > 0:
        return None
    found = bound(count, rates)
    bytes_per_s, flops_per_s = count.size_bytes / time_s, count.flops / time_s
    if found is None:
        return Achieved(bytes_per_s, flops_per_s)
    return Achieved(bytes_per_s, flops_per_s, *found, found[0] / time_s)


def fused_by_compiler(row: Measurement, name: PassName) -> bool:
    """Whether the compiler fused this pass of a naive row, so that it does not do the work that is counted."""
    return any(notice.code == NOT_NAIVE and notice.pass_name == name for notice in row.warnings)


class Reached(msgspec.Struct, frozen=True):
    """One pass of one row beside its roofline bound."""

    row: Measurement
    pass_name: PassName
    achieved: Achieved | None
    fused: bool
    cached: bool


def reached(rows: Iterable[Row], rates: Iterable[DeviceRate]) -> list[Reached]:
    """Every pass of the rows whose numbers agree."""
    known = tuple(rates)
    found = []
    for row in filter(trusted, measurements(rows)):
        best = best_rates(known, row.problem.dtype, row.problem.matmul_precision)
        for name in row.passes:
            count = work_of(row, name)
            small = count is not None and cached(count, best.cache_bytes)
            found.append(Reached(row, name, achieved(row, name, best), fused_by_compiler(row, name), small))
    return found


def nearest(found: Iterable[Reached]) -> dict[Contender, Reached]:
    """Of each contender the pass that came nearest to its bound, without those that did not do the counted work."""
    best: dict[Contender, Reached] = {}
    for each in found:
        share = each.achieved.share if each.achieved else None
        before = best.get(each.row.contender)
        least = before.achieved.share if before and before.achieved else None
        if share is not None and not each.fused and share > (least or 0.0):
            best[each.row.contender] = each
    return best


ORDER = 70
TITLE = "Roofline"
NOTES = (
    "Roofline bound: the least time that a pass could take at this device's measured rates. It is the longer of the "
    "memory time and the compute time, which may overlap.",
    "Memory time: the bytes that the variant must move, over the copy bandwidth. A naive variant moves its scores 4 "
    "times forward and 7 times backward. Compute time: its FLOPs over the matmul rate. A naive variant computes all "
    "T x S scores, whatever the mask.",
    "% of roofline: roofline bound / device time. At 100% a pass is as fast as its count allows. GB/s and TFLOP/s are "
    "the same bytes and FLOPs over the device time. Both rates were measured at the start of the run, by the fastest "
    "call. Each is the better of the backends' rates.",
)
CACHED = (
    f"in cache: the score matrix or the inputs are smaller than {OVER_CACHE} times the last-level cache, which serves "
    "part of them. The memory time leaves that part out. The GB/s are not those of memory."
)
FUSED = (
    "not naive: the compiler fused this pass, so it moves fewer bytes than are counted. Its GB/s are too high, and it "
    "may exceed 100% of roofline."
)
OVER = (
    "over 100%: faster than the count allows, with no sign of a fully fused pass. The compiler may have fused some "
    "passes over the scores, or a cache served them. Or the device was busy while its rates were measured."
)
SCATTERED = 0.5
BUSY = (
    "{} took {} as long in the median as the fastest one, which sets this rate. Other work, fresh pages or a CPU limit "
    "slowed them"
)
NO_COUNT = "– under GB/s: bytes and FLOPs of this variant are not counted."
NO_BOUND = "– under the bound: the rates for this dtype and matmul precision are missing."
NOT_RATED = "The device's rates were not measured."
NONE_AGREES = "No row has numbers that agree."
COLUMNS = (
    Column("Problem"),
    Column("Contender"),
    Column("Pass"),
    number("GB/s"),
    number("TFLOP/s"),
    number("Roofline bound", "ms"),
    number("% of roofline"),
    Column("Bound by"),
)
RATE_COLUMNS = (
    Column("Backend"),
    Column("Dtype"),
    number("Copy", "GB/s"),
    number("Matmul", "TFLOP/s"),
    number("Last-level cache", "MB"),
    Column("Missing because"),
)


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """The device's rates, how near each pass came to its bound, and why some lines are not what they seem."""
    found = reached(rows, run.rates)
    brief = summary(run, rows)
    if not found:
        return [Section(TITLE, [NONE_AGREES], brief=brief)]
    tables = [Table(RATE_COLUMNS, [rate_cells(rate) for rate in run.rates]), Table(COLUMNS, cells(found), grouped=True)]
    said = NOTES if run.rates else (*NOTES, NOT_RATED)
    return [Section(TITLE, said, tables, [*doubts(run.rates), *notes(found)], brief)]


def rate_cells(rate: DeviceRate) -> list[str]:
    """One line of the table of rates."""
    figures = (giga(rate.copy_bytes_per_s), tera(rate.matmul_flops_per_s), fmt.megabytes(rate.cache_bytes))
    return [plain(rate.backend), arithmetic(rate), *figures, plain(rate.reason)]


def cells(found: Sequence[Reached]) -> list[list[str]]:
    """A line for each pass."""
    return [
        [reach.row.problem.label, code(reach.row.contender.name), reach.pass_name, *figures(reach)] for reach in found
    ]


def figures(reach: Reached) -> list[str]:
    """Rates reached, the bound, the share of it, and what sets it."""
    achieved = reach.achieved
    if achieved is None:
        return [fmt.NONE] * 5
    rates = [giga(achieved.bytes_per_s), tera(achieved.flops_per_s)]
    if achieved.bound_s is None or achieved.share is None or achieved.bound is None:
        return [*rates, *[fmt.NONE] * 3]
    return [*rates, fmt.ms(achieved.bound_s), fmt.percent(achieved.share), ", ".join(words(reach))]


def giga(bytes_per_s: float | None) -> str:
    """A bandwidth as a bare number of GB/s."""
    return fmt.NONE if bytes_per_s is None else fmt.significant(bytes_per_s / 1e9)


def tera(flops_per_s: float | None) -> str:
    """A rate as a bare number of TFLOP/s."""
    return fmt.NONE if flops_per_s is None else fmt.significant(flops_per_s / 1e12)


def arithmetic(rate: DeviceRate) -> str:
    """Dtype, and for float32 the matmul precision."""
    return f"{rate.dtype} {rate.matmul_precision}" if rate.dtype == "float32" else rate.dtype


def rate_line(rate: DeviceRate) -> str:
    """A backend's rates in words, or why there are none."""
    if rate.reason:
        return f"{arithmetic(rate)}: no rates, {rate.reason}"
    copy, matmul = giga(rate.copy_bytes_per_s), tera(rate.matmul_flops_per_s)
    return f"{arithmetic(rate)}: copies {copy} GB/s, multiplies {matmul} TFLOP/s" + doubt(rate)


def link_line(link: LinkRate) -> str:
    """What a device of several sends, in words, or why that is not known."""
    if link.bytes_per_s is None:
        return f"{link.devices} devices: the bandwidth of their links is unknown, {link.reason}"
    return f"{link.devices} devices: each sends {giga(link.bytes_per_s)} GB/s while it receives as much"


def doubt(rate: DeviceRate) -> str:
    """That other work used the device while its rates were measured."""
    return (
        f"; {BUSY.format(rate.scattered or 'copies or products', fmt.times(1 + rate.scatter))}"
        if rate.scatter is not None and rate.scatter > SCATTERED
        else ""
    )


def doubts(rates: Sequence[DeviceRate]) -> list[str]:
    """The same for all rates, a line each."""
    return [plain(f"{rate.backend}, {arithmetic(rate)}{doubt(rate)}") for rate in rates if doubt(rate)]


def words(each: Reached) -> list[str]:
    """What sets the bound, and all that stands between the share and its plain meaning."""
    reached = each.achieved
    if reached is None or reached.bound is None or reached.share is None:
        return []
    marks = [("in cache", each.cached), ("not naive", each.fused), ("over 100%", reached.share > 1 and not each.fused)]
    return [reached.bound, *(word for word, holds in marks if holds)]


def notes(found: Sequence[Reached]) -> list[str]:
    """What the marks mean, each said only where it occurs."""
    marks = {word for each in found for word in words(each)}
    explained = {"in cache": CACHED, "not naive": FUSED, "over 100%": OVER}
    lines = [text for mark, text in explained.items() if mark in marks]
    uncounted = any(each.achieved is None for each in found)
    unrated = any(each.achieved and each.achieved.share is None for each in found)
    return [*lines, *[NO_COUNT] * uncounted, *[NO_BOUND] * unrated]


def summary(run: Run, rows: Sequence[Row]) -> list[str]:
    """The rates, and of each contender the pass that came nearest to its bound."""
    lines = [plain(f"{rate.backend}, {rate_line(rate)}") for rate in run.rates]
    best = nearest(reached(rows, run.rates))
    lines += ["Each bound uses the better backend's rates. Low rates mean that the machine was busy."] if best else []
    return lines + [f"{code(contender.name)}: {nearest_words(pass_)}" for contender, pass_ in best.items()]


def nearest_words(each: Reached) -> str:
    """The best share of a contender, and where."""
    share = fmt.percent(each.achieved.share or 0.0) if each.achieved else fmt.NONE
    return f"at best {share} of roofline ({', '.join(words(each))}), {each.pass_name} of {each.row.problem.label}"
