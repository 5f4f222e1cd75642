"""What the terminal and the Markdown report say about the floor."""

from __future__ import annotations

from collections.abc import Sequence

from compare.circumstances import Run
from compare.device_rate import DeviceRate, LinkRate
from compare.findings import floor
from compare.findings.floor import Reached
from compare.records import Row
from compare.report import format as fmt

FLOOR = (
    "Floor: the least time that a pass could take at this device's own rates. Memory: the bytes that the variant must "
    "move (a naive one its scores, 4 times forward and 7 times backward), over the copy bandwidth. Compute: its FLOPs "
    "(a naive one's on the whole T x S, whatever the mask), over the matmul rate. The two may overlap, so the longer "
    "one is the floor. % of floor: floor / device time; 100% is as fast as the "
    "count allows. GB/s and TFLOP/s are the same bytes and FLOPs over the device time. Both rates were measured at the "
    "start of the run, by the fastest call; each is the better of the backends'."
)
CACHED = (
    f"in cache: the score matrix, or else the inputs, are less than {floor.OVER_CACHE} times the last-level cache, so "
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
    "{} took {:.0%} longer in the median than the fastest one, whose rate this is: other work, fresh pages or a limit "
    "on CPU time came between"
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
        f"; {BUSY.format(rate.scattered or 'copies or products', rate.scatter)}"
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
    best = floor.nearest(floor.reached(rows, run.rates))
    lines += ["Each floor takes the better backend's rates; low ones tell of a machine that was busy."] if best else []
    return lines + [fmt.one_line(f"{contender.name}: {nearest(each)}") for contender, each in best.items()]


def nearest(each: Reached) -> str:
    """The best share of a contender, and where."""
    share = fmt.percent(each.achieved.share or 0.0) if each.achieved else fmt.NONE
    return f"at best {share} of the floor ({', '.join(words(each))}), {each.pass_name} of {each.row.problem.label}"
