"""How memory grows with the sizes of a problem, and where it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log
from statistics import fmean
from typing import Literal

import msgspec

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.mix import labels
from compare.analysis.sections import Column, Section, Table, code, number
from compare.analysis.solutions import FLASH, for_least_memory, solution_of, solutions_of
from compare.analysis.text import listed
from compare.maths import prediction
from compare.results.rows import by_contender, measurements, outcome_of, peak_bytes
from compare.schema.records import Contender, Failure, Measurement, PassName, Problem, Row, Run, Skip
from compare.stats.estimates import trusted

ORDER = 60


class SeedMemory(msgspec.Struct, frozen=True):
    """The seed table's memory columns in bytes: measured, and by the seed's formula."""

    forward: int | None
    backward: int | None
    matrix: int
    formula_forward: int
    formula_backward: int


def seed_memory(row: Row) -> SeedMemory:
    """Measured forward = inputs + forward peak; backward = inputs + output + dO + saved + backward peak."""
    forward, backward = measured_memory(row) if isinstance(row, Measurement) else (None, None)
    return SeedMemory(
        forward,
        backward,
        prediction.score_bytes(row.problem),
        prediction.seed_forward_bytes(row.problem),
        prediction.seed_backward_bytes(row.problem),
    )


def measured_memory(row: Measurement) -> tuple[int | None, int | None]:
    """Forward and Backward Memory in bytes, None where a part of the sum was not measured."""
    forward, backward = peak_bytes(row, "forward"), peak_bytes(row, "backward")
    held = None if row.saved_bytes is None else row.input_bytes + 2 * row.output_bytes + row.saved_bytes
    return (
        None if forward is None else row.input_bytes + forward,
        None if backward is None or held is None else held + backward,
    )


class Limit(msgspec.Struct, frozen=True):
    """The smallest problem that did not fit a contender, and the largest that did (by score matrix)."""

    contender: Contender
    row: Skip | Failure
    predicted_bytes: int | None
    refused_bytes: int | None
    device_bytes: int | None
    largest_fitting: Problem | None


def limits(rows: Iterable[Row]) -> list[Limit]:
    """The memory limit of each contender that ran out of memory or was skipped for want of it."""
    return [
        limit(contender, min(misfits, key=size_of), measurements(group))
        for contender, group in by_contender(rows)
        if (misfits := [row for row in group if not isinstance(row, Measurement) and is_misfit(row)])
    ]


def is_misfit(row: Skip | Failure) -> bool:
    """Whether memory was the reason: a failure says OOM, a skip for memory says what it would have needed."""
    return row.status == "OOM" if isinstance(row, Failure) else row.predicted_bytes is not None


def size_of(row: Row) -> int:
    """The order of problems by what a naive step needs, in bytes."""
    return prediction.needed_bytes(row.problem, ("step",))


def limit(contender: Contender, row: Skip | Failure, fitting: Sequence[Measurement]) -> Limit:
    """The limit at one row."""
    refused = row.refused_bytes if isinstance(row, Failure) else None
    device = row.device_bytes if isinstance(row, Failure) else row.available_bytes
    largest = max(fitting, key=size_of, default=None)
    return Limit(contender, row, row.predicted_bytes, refused, device, largest.problem if largest else None)


Axis = Literal["seq_len", "batch", "d_model"]
AXES: tuple[Axis, ...] = ("seq_len", "batch", "d_model")
WORD_TOLERANCE = 0.15
POWER_WORDS = {0: "constant", 1: "linear", 2: "quadratic", 3: "cubic"}
Group = tuple[Problem, str]  # what the points of one curve share: the rest of the problem, and who weighed them
Point = tuple[Group, int, int]  # the group that the point belongs to, its place on the axis, its bytes


def measured_peak(row: Measurement, name: PassName) -> tuple[int | None, str]:
    """The peak of a pass, and who says so: two ways of weighing never make one curve."""
    return peak_bytes(row, name), row.passes[name].peak_source if name in row.passes else ""


QUANTITIES: dict[str, Callable[[Measurement], tuple[int | None, str]]] = {
    "forward peak": lambda row: measured_peak(row, "forward"),
    "backward peak": lambda row: measured_peak(row, "backward"),
    "saved": lambda row: (row.saved_bytes, ""),
}


class Growth(msgspec.Struct, frozen=True):
    """Fitted exponent p of bytes ~ axis**p; ``local`` is p between the two largest values of the axis.

    A sum such as a T**2 + b T only shows its quadratic term at large T: there the local exponent is the nearer one.
    """

    contender: Contender
    quantity: str
    axis: Axis
    exponent: float | None
    points: int
    local: float | None = None
    between: tuple[int, int] | None = None


def growths(rows: Iterable[Row]) -> list[Growth]:
    """Growth of each quantity of each contender along each axis."""
    return [
        growth(contender, quantity, axis, measurements(group))
        for contender, group in by_contender(rows)
        for quantity in QUANTITIES
        for axis in AXES
    ]


def growth(contender: Contender, quantity: str, axis: Axis, rows: Sequence[Measurement]) -> Growth:
    """One fit over the rows of one contender; ``exponent`` is None where the axis has fewer than two values."""
    points = comparable(points_of(rows, quantity, axis))
    if not points:
        return Growth(contender, quantity, axis, None, 0)
    low, high = sorted({value for _, value, _ in points})[-2:]
    largest = comparable([point for point in points if point[1] in (low, high)])
    return Growth(contender, quantity, axis, slope(points), len(points), slope(largest), (low, high))


def points_of(rows: Sequence[Measurement], quantity: str, axis: Axis) -> list[Point]:
    """The rows that have the quantity; zero bytes have no logarithm and unequal lengths no one place on seq_len."""
    found = [(row.problem, *QUANTITIES[quantity](row)) for row in rows]
    square = [each for each in found if axis != "seq_len" or each[0].q_len == each[0].kv_len]
    return [((without(problem, axis), who), place(problem, axis), size) for problem, size, who in square if size]


def place(problem: Problem, axis: Axis) -> int:
    """Where the problem stands on the axis."""
    return {"seq_len": problem.q_len, "batch": problem.batch, "d_model": problem.d_model}[axis]


def without(problem: Problem, axis: Axis) -> Problem:
    """The problem with the axis blanked, equal for all that differ in it alone; d_model varies by head size only."""
    if axis == "seq_len":
        return msgspec.structs.replace(problem, q_len=0, kv_len=0)
    return msgspec.structs.replace(problem, **{{"batch": "batch", "d_model": "head_dim"}[axis]: 0})


def comparable(points: Sequence[Point]) -> list[Point]:
    """The points whose group has at least two values of the axis: a lone point says nothing of growth."""
    values: dict[Group, set[int]] = {}
    for group, value, _ in points:
        values.setdefault(group, set()).add(value)
    return [point for point in points if len(values[point[0]]) > 1]


def slope(points: Sequence[Point]) -> float | None:
    """Least squares of log bytes on log axis: one slope for all groups, one intercept for each."""
    curves: dict[Group, list[tuple[float, float]]] = {}
    for group, value, size in points:
        curves.setdefault(group, []).append((log(value), log(size)))
    across = up = 0.0  # an intercept of its own for each group: only what differs from the group's mean counts
    for curve in curves.values():
        x_mean, y_mean = (fmean(each) for each in zip(*curve, strict=True))
        across += sum((x - x_mean) ** 2 for x, _ in curve)
        up += sum((x - x_mean) * (y - y_mean) for x, y in curve)
    return up / across if across else None


def growth_word(exponent: float) -> str:
    """The exponent in a word, within 0.15 of a whole number, else between which two powers it lies."""
    for power, word in POWER_WORDS.items():
        if abs(exponent - power) <= WORD_TOLERANCE:
            return word
    lower = int(exponent // 1)
    if lower in POWER_WORDS and lower + 1 in POWER_WORDS:
        return f"between {POWER_WORDS[lower]} and {POWER_WORDS[lower + 1]}"
    return "falling" if exponent < 0 else "more than cubic"


class WayOut(msgspec.Struct, frozen=True):
    """Contenders for which a problem was too large, and solutions that fit at its sizes, least memory first.

    ``flash_tried``: fused attention ran at these sizes, with or without success.
    """

    problem: Problem
    stuck: tuple[Contender, ...]
    fitting: tuple[Measurement, ...]
    flash_tried: bool


def out_of_memory(row: Row) -> bool:
    """Whether a case has no numbers because memory did not suffice."""
    return not isinstance(row, Measurement) and is_misfit(row)


def ways_out(
    rows: Iterable[Row],
    too_large: Callable[[Row], bool] = out_of_memory,
    fits: Callable[[Measurement], bool] = trusted,
) -> list[WayOut]:
    """One for each problem too large for a contender; what fits may have another dtype, but not another mask."""
    groups: dict[Problem, list[Row]] = {}
    for row in rows:
        groups.setdefault(msgspec.structs.replace(row.problem, dtype="float32", matmul_precision="ieee"), []).append(
            row
        )
    return [way for group in groups.values() for way in ways_at(group, too_large, fits)]


def ways_at(
    group: Sequence[Row], too_large: Callable[[Row], bool], fits: Callable[[Measurement], bool]
) -> Iterable[WayOut]:
    """Those at the same sizes, one for each precision in which a contender did not fit."""
    stuck: dict[Problem, list[Contender]] = {}
    for row in filter(too_large, group):
        stuck.setdefault(row.problem, []).append(row.contender)
    found = [row for row in group if isinstance(row, Measurement) and solutions_of(row) and fits(row)]
    tried = any(solution_of(row) == FLASH for row in group)
    for problem, contenders in stuck.items():
        yield WayOut(problem, tuple(contenders), tuple(for_least_memory(found)), tried)


MOST_NAMES = 3  # that are spelled out where a list of them stands elsewhere too


def way_text(found: Sequence[WayOut]) -> list[str]:
    """Which contenders did not fit, and what fits; problems with the same answer share a line."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for way in found:
        first, *others = [code(contender.name) for contender in way.stuck]
        stuck = listed([first, *others] if len(others) < MOST_NAMES else [first, f"{len(others)} more"])
        groups.setdefault((stuck, what_fits(way)), []).append(way.problem)
    return [f"{stuck}: too large for memory; {answer} [{labels(where)}]" for (stuck, answer), where in groups.items()]


def what_fits(way: WayOut) -> str:
    """What was measured to fit, else what to try."""
    untried = f"{FLASH} stores no T x T matrix: try `--variant fused`"
    if not way.fitting:
        searched = "no solution measured there fits either; `--max-seq-len` finds the longest sequence that does"
        return searched if way.flash_tried else untried
    fitting = dict.fromkeys(fitting_words(row, way.problem) for row in way.fitting)
    words = f"there {listed([*fitting])} fit{'s' if len(fitting) == 1 else ''}"
    return words if way.flash_tried else f"{words}; {untried}"


def fitting_words(row: Measurement, instead_of: Problem) -> str:
    """A contender that fits, its dtype if that is another one, and its peak."""
    dtype = f" {row.problem.dtype}" if row.problem.dtype != instead_of.dtype else ""
    peak = circumstances.peak(row.passes.values())
    return f"{code(row.contender.name)}{dtype} ({' and '.join(solutions_of(row))}, peak {peak} MB)"


METHOD = (
    "Exponent p of `bytes ~ axis^p`, by least squares in log-log space. A fit joins problems that differ in that axis "
    "alone and whose memory was measured in the same way: one slope for all groups, one intercept for each. `d_model` "
    "varies by head size. A linear term hides a quadratic one at small sizes, so the last column gives the exponent "
    "between the two largest values."
)
GROWTH_COLUMNS = (
    Column("Contender"),
    Column("Quantity"),
    Column("Axis"),
    number("Exponent"),
    number("Points"),
    number("Between the two largest"),
)
LIMIT_COLUMNS = (
    Column("Contender"),
    Column("Smallest that did not fit"),
    Column("Outcome"),
    number("Would need"),
    number("Refused allocation"),
    number("Device has"),
    Column("Largest that ran"),
)


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """How memory grows, then where it ended; in brief, what fits where something did not."""
    return [growth_section(rows), limit_section(rows)]


def growth_section(rows: Sequence[Row]) -> Section:
    """Exponents as a table, then in words."""
    title, fits = "Memory analysis", growths(rows)
    fitted = [fit for fit in fits if fit.exponent is not None]
    if not fitted:
        return Section(title, ["No exponent: no contender was measured at two values of one axis."])
    table = Table(GROWTH_COLUMNS, [growth_line(fit) for fit in fitted])
    return Section(title, [METHOD, unfitted(fits)], [table], growth_words(fitted))


def growth_line(fit: Growth) -> list[str]:
    """One line of the table of exponents."""
    between = f"{exponent_text(fit.local)} ({fit.between[0]} to {fit.between[1]})" if fit.between else fmt.NONE
    return [
        code(fit.contender.name),
        fit.quantity,
        code(fit.axis),
        exponent_text(fit.exponent),
        str(fit.points),
        between,
    ]


def exponent_text(value: float | None) -> str:
    """An exponent to two decimals; 0.00 has no sign."""
    return fmt.NONE if value is None else f"{round(value, 2) + 0.0:.2f}"


def growth_words(fits: Sequence[Growth]) -> list[str]:
    """One sentence per contender and axis: each quantity with its word, by the local exponent where there is one."""
    groups: dict[tuple[str, str], list[Growth]] = {}
    for fit in fits:
        groups.setdefault((fit.contender.name, fit.axis), []).append(fit)
    return [
        f"{code(name)}, in {code(axis)}{span(group[0])}: {', '.join(map(worded, group))}."
        for (name, axis), group in groups.items()
    ]


def span(fit: Growth) -> str:
    """Between which values of the axis the words of a sentence hold."""
    return f" from {fit.between[0]} to {fit.between[1]}" if fit.between and fit.local is not None else ""


def worded(fit: Growth) -> str:
    """A quantity and how it grows."""
    value = fit.exponent if fit.local is None else fit.local
    return fit.quantity if value is None else f"{fit.quantity} {growth_word(value)} ({exponent_text(value)})"


def unfitted(fits: Sequence[Growth]) -> str:
    """The axes along which nothing could be fitted."""
    known = {fit.axis for fit in fits if fit.exponent is not None}
    missing = [code(axis) for axis in AXES if axis not in known]
    return f"No exponent for {listed(missing)}: a fit needs two values." if missing else ""


def limit_section(rows: Sequence[Row]) -> Section:
    """Where memory ended, or that it did not."""
    title, found = "Out-of-memory analysis", limits(rows)
    if not found:
        return Section(title, ["Nothing ran out of memory, and nothing was skipped because it would not fit."])
    ways = way_text(ways_out(rows))
    return Section(title, tables=[Table(LIMIT_COLUMNS, [limit_line(each) for each in found])], points=ways, brief=ways)


def limit_line(found: Limit) -> list[str]:
    """One line of the table of limits."""
    sizes = map(fmt.size, (found.predicted_bytes, found.refused_bytes, found.device_bytes))
    largest = found.largest_fitting.label if found.largest_fitting else "none"
    return [code(found.contender.name), found.row.problem.label, outcome_of(found.row), *sizes, largest]
