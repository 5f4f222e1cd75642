"""What each solution for the O(T^2) memory did, compared with naive float32 attention at the same sizes.

The solutions are those of the starting document: FlashAttention, gradient checkpointing, sparse attention and mixed
precision; and the lean naive variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Literal

import msgspec

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.accuracy import worst_of
from compare.analysis.sections import Column, Section, Table, code, number
from compare.analysis.text import kind_of
from compare.maths.prediction import score_bytes
from compare.results.rows import measurements
from compare.schema.records import PASSES, Measurement, PassName, PassResult, Problem, Row, Run, TensorError
from compare.stats.estimates import Estimate, device_time, paired_ratio, trusted, unpaired_ratio
from compare.variants import description

ORDER = 20
SameFunction = Literal["the same", "a rounding", "another"]

FLASH, SPARSE, MIXED = "FlashAttention", "sparse attention", "mixed precision"
PREFERRED = ("ieee", "tf32", "default")  # arithmetic of a base; the default is another one in each framework


class Solution(msgspec.Struct, frozen=True):
    """One row beside naive float32: ratios of time per pass, of the highest peak and of what is saved, below 1 better.

    ``paired``: formed within rounds.  Otherwise each of the two was measured by itself, one problem after the other.
    """

    row: Measurement
    base: Measurement
    names: tuple[str, ...]
    function: SameFunction
    times: dict[PassName, Estimate]
    paired: bool
    peak: float | None
    saved: float | None
    worst: TensorError | None


def solution_of(row: Row) -> str:
    """The solution that the variant of a row is, by its description; empty for none."""
    ran = row.ran if isinstance(row, Measurement) else ""
    found = description(row.contender.backend, ran or row.contender.variant)
    if found is None or (found.solution_modes and row.contender.mode not in found.solution_modes):
        return ""
    return found.solution


def solutions_of(row: Measurement) -> tuple[str, ...]:
    """The names of the solutions that a row applies; none for plain naive attention in float32.

    None either for a variant that stores all scores under a sparse mask: another function, and no memory is saved.
    """
    found = [solution_of(row)] if solution_of(row) else []
    if _sparse(row.problem):
        if not {FLASH, SPARSE} & set(found):
            return ()
        described = description(row.contender.backend, row.ran or row.contender.variant)
        skips = described is not None and row.problem.scores.mask.kind in described.skips
        found += [SPARSE] if skips and SPARSE not in found else []
    if row.problem.dtype != "float32":
        found.append(MIXED)
    return tuple(found)


def function_of(row: Measurement, base: Measurement) -> SameFunction:
    """Whether the row computes the function of its base."""
    if row.problem.mask != base.problem.mask:
        return "another"
    return "the same" if row.problem.dtype == "float32" else "a rounding"


def solutions(rows: Iterable[Row]) -> list[Solution]:
    """Every row that applies a solution and has a base, in the order of the rows."""
    known = [row for row in measurements(rows) if trusted(row) and row.problem.devices == 1]
    bases: dict[tuple[object, ...], list[Measurement]] = {}
    for row in known:
        if row.contender.variant == "naive" and row.problem.dtype == "float32":
            bases.setdefault(_sizes(row), []).append(row)
    found = ((row, base_of(row, bases.get(_sizes(row), ())), solutions_of(row)) for row in known)
    return [solution(row, base, named) for row, base, named in found if base is not None and named]


def by_sizes(found: Iterable[Solution]) -> list[list[Solution]]:
    """The solutions of each size, of all backends together, the one with the most scores first."""
    groups: dict[tuple[object, ...], list[Solution]] = {}
    for each in found:
        groups.setdefault(_sizes(each.base)[1:], []).append(each)
    return sorted(groups.values(), key=lambda group: -group[0].base.problem.layers * score_bytes(group[0].base.problem))


def base_of(row: Measurement, bases: Sequence[Measurement]) -> Measurement | None:
    """Of naive float32 of the same backend at the same sizes that of the same mode if there is one, and the same mask.

    Of float32 in the same matmul precision; of 16 bits it is IEEE where that was measured.
    A sparse variant's base is dense: the same mask computed naively stores all T x T scores too.
    """
    masks = ("causal", "full") if _sparse(row.problem) else (row.problem.mask,)
    single = row.problem.dtype == "float32"
    fitting = [
        each
        for each in bases
        if each.problem.mask in masks and (not single or each.problem.matmul_precision == row.problem.matmul_precision)
    ]

    def rank(each: Measurement) -> tuple[int, bool, int]:
        other_mode = each.contender.mode != row.contender.mode
        return PREFERRED.index(each.problem.matmul_precision), other_mode, masks.index(each.problem.mask)

    return min(fitting, key=rank, default=None)


def _sparse(problem: Problem) -> bool:
    return problem.scores.mask.kind in ("window", "strided")


def _sizes(row: Measurement) -> tuple[object, ...]:
    where = row.problem
    shape = (where.batch, where.q_len, where.kv_len, where.heads, where.kv_heads, where.head_dim)
    return (row.contender.home, *shape, where.layers, where.layout, where.seed)


def solution(row: Measurement, base: Measurement, named: tuple[str, ...]) -> Solution:
    """One row beside its base."""
    paired = row.problem == base.problem and not row.alone and not base.alone
    form = paired_ratio if paired else unpaired_ratio
    shared = [name for name in PASSES if name in row.passes and name in base.passes]
    return Solution(
        row=row,
        base=base,
        names=named,
        function=function_of(row, base),
        times={name: form(row.passes[name], base.passes[name]) for name in shared},
        paired=paired,
        peak=_share(*peaks(row, base)),
        saved=_share(row.saved_bytes, base.saved_bytes),
        worst=worst_of(row),
    )


def highest(row: Measurement) -> PassResult | None:
    """The pass with the highest peak."""
    return max(row.passes.values(), key=lambda each: each.peak_bytes, default=None)


def peaks(row: Measurement, base: Measurement) -> tuple[int | None, int | None]:
    """The highest peak of each, measured in one way: as reported if by one source, else as XLA planned both."""
    one, other = highest(row), highest(base)
    if one is None or other is None:
        return None, None
    if one.peak_source == other.peak_source:
        return one.peak_bytes, other.peak_bytes
    planned = [[each.buffer_bytes for each in of.passes.values() if each.buffer_bytes] for of in (row, base)]
    return max(planned[0], default=None), max(planned[1], default=None)


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def for_memory(found: Iterable[Solution]) -> list[Solution]:
    """Least memory first, in bytes, whatever the framework."""
    return sorted(found, key=lambda each: highest_bytes(each.row))


def for_least_memory(rows: Iterable[Measurement]) -> list[Measurement]:
    """The same of rows."""
    return sorted(rows, key=highest_bytes)


def highest_bytes(row: Measurement) -> float:
    """The highest peak of the passes, in bytes; endless where none was measured."""
    return peak.peak_bytes if (peak := highest(row)) else inf


def for_time(found: Iterable[Solution]) -> list[Solution]:
    """Fastest first, in seconds, whatever the framework, by the last of the passes that were measured."""
    return sorted(found, key=lambda each: device_time(each.row.passes[[*each.times][-1]]).median if each.times else inf)


UNPAIRED = "*"
LEAST = 0.001
NOTE = (
    "Each row is compared with naive float32 attention of the same framework at the same sizes, in the same mode where "
    "that was measured. A sparse mask is compared with dense causal attention. Device time, the highest peak of the "
    f"passes and saved bytes are ratios: below 1 is better. `{UNPAIRED}`: the two were measured one after the other, "
    "not in turns. Both peaks of a ratio are measured in the same way: in JAX on a CPU by XLA's buffer assignment "
    "where one has no growth. Error: row-relative, of the tensor nearest to its allowance. Function: the same as "
    "naive, a rounding of it (16-bit inputs), or another (a sparse mask shows fewer keys). Rows are sorted by MB or "
    "ms, across frameworks."
)


def sizes(group: Sequence[Solution]) -> str:
    """The sizes that the solutions share."""
    base = group[0].base.problem
    return base.label_without("mask", "dtype", "matmul_precision")


def bases(group: Sequence[Solution]) -> str:
    """What the solutions are compared with, and the precision of its matrix products."""
    precisions = dict.fromkeys(each.base.problem.matmul_precision for each in group)
    return f"naive float32 {' and '.join(precisions)}"


def time(each: Solution, name: PassName) -> str:
    """The time ratio of a pass with its interval, marked where it was not formed within rounds."""
    if name not in each.times:
        return fmt.NONE
    return fmt.ratio(each.times[name]) + ("" if each.paired else UNPAIRED)


def share(value: float | None) -> str:
    """A ratio of bytes."""
    if value is None:
        return fmt.NONE
    return "<0.001x" if 0 < value < LEAST else fmt.times(value)


def absolute_time(each: Solution, name: PassName) -> str:
    """Device time of a pass in ms."""
    return f"{fmt.ms(device_time(each.row.passes[name]).median)} ms" if name in each.times else fmt.NONE


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """The largest size sorted by memory and by time, the other sizes folded; in brief, the best of each framework."""
    groups = by_sizes(solutions(rows))
    if not groups:
        return []
    largest, *others = groups
    tables = [
        table(for_memory(largest), f"Least memory first: {titled(largest)}"),
        table(for_time(largest), "Least time first"),
        *(table(for_memory(group), titled(group), folded=True) for group in others),
    ]
    return [Section("Solutions", [NOTE], tables, brief=brief(largest))]


def titled(group: Sequence[Solution]) -> str:
    """The sizes of a group, and what it is compared with."""
    return f"{sizes(group)}, compared with {bases(group)}"


def table(group: Sequence[Solution], title: str, folded: bool = False) -> Table:
    """A line for each solution, with the passes that at least one of them has."""
    passes = [name for name in PASSES if any(name in each.times for each in group)]
    heads = (Column("Solution"), Column("Contender"), Column("Problem"), *map(number, passes))
    columns = (*heads, number("peak"), number("saved"), number("error"), Column("function"))
    return Table(columns, [line(each, passes) for each in group], title, folded=folded)


def line(each: Solution, passes: Sequence[PassName]) -> list[str]:
    """One solution."""
    return [
        ", ".join(each.names),
        code(each.row.contender.name) + (f" ran {code(each.row.ran)}" if each.row.ran else ""),
        kind_of(each.row.problem),
        *(f"{absolute_time(each, name)}\n{time(each, name)}" for name in passes),
        f"{circumstances.peak(each.row.passes.values())} MB\n{share(each.peak)}",
        share(each.saved),
        fmt.error(each.worst.max_error if each.worst else None),
        each.function,
    ]


def brief(group: Sequence[Solution]) -> list[str]:
    """Of each framework, what saves most memory and what saves most time."""
    lines = [f"{titled(group)} ({UNPAIRED}: not measured in turns):"]
    for home in dict.fromkeys(each.row.contender.home for each in group):
        own = [each for each in group if each.row.contender.home == home]
        lines += [f"least memory: {words(for_memory(own)[0])}", f"least time: {words(for_time(own)[0])}"]
    return lines


def words(each: Solution) -> str:
    """A solution with its peak and the time of its last pass."""
    longest = [name for name in PASSES if name in each.times][-1:]
    times = "".join(f", {name} {time(each, name)}" for name in longest)
    ran = f" (ran {code(each.row.ran)})" if each.row.ran else ""
    where = f"{each.row.problem.mask} {each.row.problem.dtype}"
    peak = f"{circumstances.peak(each.row.passes.values())} MB ({share(each.peak)})"
    return f"{code(each.row.contender.name)}{ran} {where}: peak {peak}{times}; function: {each.function}"
