"""The Markdown section on the floor: the device's rates, and how near each pass came to what they allow."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import roofline
from compare.analysis import text as fmt
from compare.analysis.roofline import Reached
from compare.render.markdown_text import bullets, code, escape, section, table
from compare.schema.records import DeviceRate, Row, Run

COLUMNS = ("Problem", "Contender", "Pass", ">GB/s", ">TFLOP/s", ">Floor (ms)", ">% of floor", "Floor")
RATE_COLUMNS = ("Backend", "Dtype", ">Copy (GB/s)", ">Matmul (TFLOP/s)", ">Last-level cache (MB)", "Missing because")


def floors(run: Run, rows: Sequence[Row]) -> str:
    """Rates, then one line per problem, contender and pass, then why some lines are not what they seem."""
    found = roofline.reached(rows, run.rates)
    if not found:
        return section("Floor and roofline", "No row has numbers that agree.")
    known = table(RATE_COLUMNS, map(rate_line, run.rates)) if run.rates else "The device's rates were not measured."
    notes = [escape(note) for note in (*roofline.doubts(run.rates), *roofline.notes(found))]
    return section("Floor and roofline", escape(roofline.FLOOR), known, table(COLUMNS, lines(found)), bullets(notes))


def rate_line(rate: DeviceRate) -> list[str]:
    """One line of the table of rates."""
    cells = (
        roofline.giga(rate.copy_bytes_per_s),
        roofline.tera(rate.matmul_flops_per_s),
        fmt.megabytes(rate.cache_bytes),
    )
    return [escape(rate.backend), escape(roofline.arithmetic(rate)), *cells, escape(rate.reason)]


def lines(found: Sequence[Reached]) -> list[list[str]]:
    """The lines of all rows; a problem is named where it begins, a contender in its first pass."""
    cells, problem, row = [], None, None
    for each in found:
        label = "" if each.row.problem == problem else f"**{escape(each.row.problem.label)}**"
        name = "" if each.row is row else code(each.row.contender.name)
        problem, row = each.row.problem, each.row
        cells.append([label, name, each.pass_name, *figures(each)])
    return cells


def figures(each: Reached) -> list[str]:
    """Rates reached, the floor, the share of it, and which floor it is."""
    reached = each.achieved
    if reached is None:
        return [fmt.NONE] * 5
    rates = [roofline.giga(reached.bytes_per_s), roofline.tera(reached.flops_per_s)]
    if reached.floor_s is None or reached.share is None or reached.bound is None:
        return [*rates, *[fmt.NONE] * 3]
    return [*rates, fmt.ms(reached.floor_s), fmt.percent(reached.share), ", ".join(roofline.words(each))]
