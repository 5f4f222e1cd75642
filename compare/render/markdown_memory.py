"""The Markdown sections on memory: how it grows, and where it ended.  Every word follows from a fitted number."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import memory, solutions
from compare.analysis import memory as numbers
from compare.analysis import text as fmt
from compare.analysis.memory import Growth, Limit
from compare.analysis.solutions import ways_out
from compare.render.markdown_text import bullets, code, escape, section, table
from compare.results.rows import outcome_of
from compare.schema.records import Row

METHOD = (
    "Exponent p of bytes ~ axis^p: least squares of log bytes on log axis over the problems that differ in that axis "
    "alone and were weighed in the same way, one slope for all groups and one intercept for each (d_model varies by "
    "head size). A sum of a quadratic and a linear term shows the quadratic one at large sizes only, "
    "hence the exponent between the two largest values."
)


def analysis(rows: Sequence[Row]) -> str:
    """Exponents as a table, then the same in words."""
    fits = memory.growths(rows)
    fitted = [fit for fit in fits if fit.exponent is not None]
    if not fitted:
        return section("Memory analysis", "No exponent: no contender was measured at two values of one axis.")
    columns = ("Contender", "Quantity", "Axis", ">Exponent", ">Points", ">Between the two largest")
    return section(
        "Memory analysis", METHOD, table(columns, map(growth_line, fitted)), bullets(sentences(fitted)), unfitted(fits)
    )


def growth_line(fit: Growth) -> list[str]:
    """One line of the table of exponents."""
    between = f"{exponent(fit.local)} ({fit.between[0]} to {fit.between[1]})" if fit.between else fmt.NONE
    return [code(fit.contender.name), fit.quantity, fit.axis, exponent(fit.exponent), str(fit.points), between]


def exponent(value: float | None) -> str:
    """An exponent to two decimals; 0.00 has no sign."""
    return fmt.NONE if value is None else f"{round(value, 2) + 0.0:.2f}"


def sentences(fits: Sequence[Growth]) -> list[str]:
    """One sentence per contender and axis: each quantity with its word, by the local exponent where there is one."""
    groups: dict[tuple[str, str], list[Growth]] = {}
    for fit in fits:
        groups.setdefault((fit.contender.name, fit.axis), []).append(fit)
    return [
        f"{code(name)}, in {axis}{span(found[0])}: {', '.join(map(worded, found))}."
        for (name, axis), found in groups.items()
    ]


def span(fit: Growth) -> str:
    """Between which values of the axis the words of a sentence hold."""
    return f" from {fit.between[0]} to {fit.between[1]}" if fit.between and fit.local is not None else ""


def worded(fit: Growth) -> str:
    """A quantity and how it grows."""
    value = fit.exponent if fit.local is None else fit.local
    return fit.quantity if value is None else f"{fit.quantity} {memory.growth_word(value)} ({exponent(value)})"


def unfitted(fits: Sequence[Growth]) -> str:
    """The axes along which nothing could be fitted."""
    known = {fit.axis for fit in fits if fit.exponent is not None}
    missing = [axis for axis in memory.AXES if axis not in known]
    return f"Not fitted, for want of two values: {', '.join(missing)}." if missing else ""


def limits(rows: Sequence[Row]) -> str:
    """Where memory ended, or plainly that it did not."""
    found = numbers.limits(rows)
    if not found:
        return section("Out-of-memory analysis", "Nothing ran out of memory, and nothing was skipped for want of it.")
    columns = ("Contender", "Smallest that did not fit", "Outcome", ">Would need", ">Refused allocation")
    head = (*columns, ">Device has", "Largest that ran")
    ways = [escape(line) for line in solutions.way_text(ways_out(rows))]
    return section("Out-of-memory analysis", table(head, map(limit_line, found)), bullets(ways))


def limit_line(limit: Limit) -> list[str]:
    """One line of the table of limits."""
    sizes = (limit.predicted_bytes, limit.refused_bytes, limit.device_bytes)
    largest = escape(limit.largest_fitting.label) if limit.largest_fitting else "none"
    label, outcome = escape(limit.row.problem.label), escape(outcome_of(limit.row))
    return [code(limit.contender.name), label, outcome, *map(fmt.size, sizes), largest]
