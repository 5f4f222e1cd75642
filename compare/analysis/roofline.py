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
from compare.maths.traffic import Work, work
from compare.profile.kinds import NOT_NAIVE
from compare.results.rows import measurements
from compare.schema.records import (
    Contender,
    DeviceRate,
    Dtype,
    LinkRate,
    Measurement,
    PassName,
    Precision,
    Row,
    Run,
)
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
    """What a pass reached by the count of its variant, and its floor; ``share`` is floor over time, 1 at the floor."""

    bytes_per_s: float
    flops_per_s: float
    floor_s: float | None = None
    bound: Bound | None = None
    share: float | None = None


def best_rates(rates: Iterable[DeviceRate], dtype: Dtype, precision: Precision) -> Rates:
    """The better of the backends' figures: one device has one floor."""
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


def floor(work: Work, rates: Rates) -> tuple[float, Bound] | None:
    """Seconds of the floor and which of the two it is; None unless both rates are known."""
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
    found = floor(count, rates)
    bytes_per_s, flops_per_s = count.size_bytes / time_s, count.flops / time_s
    if found is None:
        return Achieved(bytes_per_s, flops_per_s)
    return Achieved(bytes_per_s, flops_per_s, *found, found[0] / time_s)


def fused_by_compiler(row: Measurement, name: PassName) -> bool:
    """Whether the compiler fused this pass of a naive row, so that it does not do the work that is counted."""
    return any(notice.code == NOT_NAIVE and notice.pass_name == name for notice in row.warnings)


class Reached(msgspec.Struct, frozen=True):
    """One pass of one row beside its floor."""

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
    """Of each contender the pass that came nearest to its floor, without those that did not do the counted work."""
    best: dict[Contender, Reached] = {}
    for each in found:
        share = each.achieved.share if each.achieved else None
        before = best.get(each.row.contender)
        least = before.achieved.share if before and before.achieved else None
        if share is not None and not each.fused and share > (least or 0.0):
            best[each.row.contender] = each
    return best


FLOOR = (
    "Floor: the least time that a pass could take at this device's own rates. Memory: the bytes that the variant must "
    "move (a naive one its scores, 4 times forward and 7 times backward), over the copy bandwidth. Compute: its FLOPs "
    "(a naive one's on the whole T x S, whatever the mask), over the matmul rate. The two may overlap, so the longer "
    "one is the floor. % of floor: floor / device time; 100% is as fast as the "
    "count allows. GB/s and TFLOP/s are the same bytes and FLOPs over the device time. Both rates were measured at the "
    "start of the run, by the fastest call; each is the better of the backends'."
)
CACHED = (
    f"in cache: the score matrix, or else the inputs, are less than {OVER_CACHE} times the last-level cache, so "
    "part of them is read from there. The memory floor leaves them out, and the GB/s are not those of memory."
)
FUSED = (
    "not naive: the compiler fused this pass, so it does not move the bytes that are counted. Its GB/s are too high, "
    "and it may be over 100% of a floor that is not its own."
)
OVER = (
    "over 100%: faster than the count allows, though nothing shows that the pass was fused whole. Either the compiler "
    "fused some passes over the scores, or a cache served them, or the device was busier, and so slower, when its "
    "rates were measured."
)
SCATTERED = 0.5
BUSY = (
    "{} took {} as long in the median as the fastest one, whose rate this is: other work, fresh pages or a limit on "
    "CPU time came between"
)
NO_COUNT = "– in place of GB/s: bytes and FLOPs of this variant are not counted."
NO_FLOOR = "– in place of the floor: the rates for this dtype and matmul precision are missing."


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
        return f"{link.devices} devices: no rate of their links, {link.reason}"
    return f"{link.devices} devices: each sends {giga(link.bytes_per_s)} GB/s while it receives as much"


def doubt(rate: DeviceRate) -> str:
    """That the device was hardly by itself while its rates were measured."""
    return (
        f"; {BUSY.format(rate.scattered or 'copies or products', fmt.times(1 + rate.scatter))}"
        if rate.scatter is not None and rate.scatter > SCATTERED
        else ""
    )


def doubts(rates: Sequence[DeviceRate]) -> list[str]:
    """The same for all rates, a line each."""
    return [fmt.one_line(f"{rate.backend}, {arithmetic(rate)}{doubt(rate)}") for rate in rates if doubt(rate)]


def words(each: Reached) -> list[str]:
    """Which floor it is, and all that stands between the share and its plain meaning."""
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
    return [*lines, *[NO_COUNT] * uncounted, *[NO_FLOOR] * unrated]


def summary(run: Run, rows: Sequence[Row]) -> list[str]:
    """For the terminal: the rates, and of each contender the pass that came nearest to its floor."""
    lines = [fmt.one_line(f"{rate.backend}, {rate_line(rate)}") for rate in run.rates]
    best = nearest(reached(rows, run.rates))
    lines += ["Each floor takes the better backend's rates; low ones tell of a machine that was busy."] if best else []
    return lines + [fmt.one_line(f"{contender.name}: {nearest_words(each)}") for contender, each in best.items()]


def nearest_words(each: Reached) -> str:
    """The best share of a contender, and where."""
    share = fmt.percent(each.achieved.share or 0.0) if each.achieved else fmt.NONE
    return f"at best {share} of the floor ({', '.join(words(each))}), {each.pass_name} of {each.row.problem.label}"
