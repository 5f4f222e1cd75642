"""What the terminal and the Markdown report say about solutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Literal

import msgspec
from msgspec.structs import replace

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.accuracy import worst_of
from compare.analysis.memory import is_misfit
from compare.analysis.mix import labels
from compare.analysis.text import listed
from compare.maths.prediction import score_bytes
from compare.results.rows import measurements
from compare.schema.contract import parse_mask
from compare.schema.records import PASSES, Contender, Measurement, PassName, PassResult, Problem, Row, TensorError
from compare.stats.estimates import Estimate, device_time, paired_ratio, trusted, unpaired_ratio

SameFunction = Literal["the same", "a rounding", "another"]

FLASH, CHECKPOINT, SPARSE, MIXED, LEAN = (
    "FlashAttention",
    "gradient checkpointing",
    "sparse attention",
    "mixed precision",
    "lean naive",
)
BY_VARIANT = {
    **dict.fromkeys(("fused", "fused_chunked", "fused_cudnn", "fused_efficient", "fused_flash"), FLASH),
    **dict.fromkeys(("flex", "varlen", "tokamax_mosaic", "tokamax_triton"), FLASH),
    "checkpoint": CHECKPOINT,
    "naive_lean": LEAN,
    "window": SPARSE,
    "strided": SPARSE,
}
# Fused kernels that skip what a window hides; the others compute all of it and mask the most.
SKIPS_WINDOW = ("jax:fused_chunked", "jax:fused_cudnn", "torch:flex", "torch:varlen")
PREFERRED = ("ieee", "tf32", "default")  # arithmetic of a base; the default is another one in each framework


class Solution(msgspec.Struct, frozen=True):
    """One row beside naive float32: ratios of time per pass, of the highest peak and of what is saved, below 1 better.

    ``paired``: formed within rounds.  Otherwise each of the two was measured by itself, one problem after the other.
    """

    row: Measurement
    base: Measurement
    remedies: tuple[str, ...]
    function: SameFunction
    times: dict[PassName, Estimate]
    paired: bool
    peak: float | None
    saved: float | None
    worst: TensorError | None


def remedies_of(row: Measurement) -> tuple[str, ...]:
    """The names of the remedies that a row applies; none for plain naive attention in float32.

    None either for what holds all scores under a sparse mask: that is another function and no way out.
    """
    variant = row.ran or row.contender.variant
    found = [BY_VARIANT[variant]] if variant in BY_VARIANT else []
    if variant == "naive_lean" and row.contender.mode in ("compile", "graph"):  # where it is naive itself
        found = []
    if _sparse(row.problem):
        if not {FLASH, SPARSE} & set(found):
            return ()
        windowed = parse_mask(row.problem.mask).kind == "window"
        found += [SPARSE] if windowed and f"{row.contender.backend}:{variant}" in SKIPS_WINDOW else []
    if row.problem.dtype != "float32":
        found.append(MIXED)
    return tuple(found)


def function_of(row: Measurement, base: Measurement) -> SameFunction:
    """Whether the row computes the function of its base."""
    if row.problem.mask != base.problem.mask:
        return "another"
    return "the same" if row.problem.dtype == "float32" else "a rounding"


def solutions(rows: Iterable[Row]) -> list[Solution]:
    """Every row that applies a remedy and has a base, in the order of the rows."""
    known = [row for row in measurements(rows) if trusted(row) and row.problem.devices == 1]
    bases: dict[tuple[object, ...], list[Measurement]] = {}
    for row in known:
        if row.contender.variant == "naive" and row.problem.dtype == "float32":
            bases.setdefault(_sizes(row), []).append(row)
    found = ((row, base_of(row, bases.get(_sizes(row), ())), remedies_of(row)) for row in known)
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
    A sparse variant's base is dense: the same mask computed naively is no way out of the O(T^2) wall.
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
    return parse_mask(problem.mask).kind in ("window", "strided")


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
        remedies=named,
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
    """The highest peak of each, weighed in one way: as reported if by one source, else by what XLA planned for both."""
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


class WayOut(msgspec.Struct, frozen=True):
    """Contenders for which a problem was too large, and remedies that fit at its sizes, least memory first.

    ``flash_tried``: fused attention was run there, whatever became of it.
    """

    problem: Problem
    stuck: tuple[Contender, ...]
    fitting: tuple[Measurement, ...]
    flash_tried: bool


def out_of_memory(row: Row) -> bool:
    """Whether a case gave no numbers for want of memory."""
    return not isinstance(row, Measurement) and is_misfit(row)


def ways_out(
    rows: Iterable[Row],
    too_large: Callable[[Row], bool] = out_of_memory,
    fits: Callable[[Measurement], bool] = trusted,
) -> list[WayOut]:
    """One for each problem that was too large for someone; a remedy may have another dtype, but not another mask."""
    groups: dict[Problem, list[Row]] = {}
    for row in rows:
        groups.setdefault(replace(row.problem, dtype="float32", matmul_precision="ieee"), []).append(row)
    return [way for group in groups.values() for way in _of(group, too_large, fits)]


def _of(
    group: Sequence[Row], too_large: Callable[[Row], bool], fits: Callable[[Measurement], bool]
) -> Iterable[WayOut]:
    """The ways out at the same sizes, one for each precision in which there is no way through."""
    stuck: dict[Problem, list[Contender]] = {}
    for row in filter(too_large, group):
        stuck.setdefault(row.problem, []).append(row.contender)
    found = [row for row in group if isinstance(row, Measurement) and remedies_of(row) and fits(row)]
    tried = any(BY_VARIANT.get(row.contender.variant) == FLASH for row in group)
    for problem, contenders in stuck.items():
        yield WayOut(problem, tuple(contenders), tuple(for_least_memory(found)), tried)


UNPAIRED = "*"
LEAST = 0.001
MOST_NAMES = 3  # that are spelled out where a list of them stands elsewhere too
NOTE = (
    "Against naive attention in float32, in the same framework and at the same sizes (in the same mode where that was "
    "measured; of a sparse mask against dense causal attention): device time, the highest peak of the passes and the "
    f"saved bytes as ratios, below 1 is better; {UNPAIRED}: measured one after the other and not in turns. A ratio of "
    "peaks has both weighed in one way: in JAX on a CPU by XLA's buffer assignment where one has no growth. "
    "Error: row-relative, of the tensor nearest to its allowance. Function: the same as naive, a rounding of it "
    "(16-bit inputs), or another (a sparse mask shows fewer keys). Sorted by ms and MB, so across frameworks too."
)


def sizes(group: Sequence[Solution]) -> str:
    """The sizes that the solutions share."""
    base = group[0].base.problem
    return base.label.split(f" {base.mask} ")[0]


def bases(group: Sequence[Solution]) -> str:
    """What the solutions are held against, with the precision of its products."""
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


def way_text(found: Sequence[WayOut]) -> list[str]:
    """Who did not fit, and what did; problems of which the same is to say together."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for each in found:
        first, *others = [contender.name for contender in each.stuck]
        stuck = listed([first, *others] if len(others) < MOST_NAMES else [first, f"{len(others)} more"])
        groups.setdefault((stuck, _way(each)), []).append(each.problem)
    return [fmt.one_line(f"{stuck}: {way} [{labels(where)}]") for (stuck, way), where in groups.items()]


def _way(found: WayOut) -> str:
    """What fits in place of that, or what is worth a try."""
    untried = f"{FLASH} holds no T x T matrix: try --variant fused"
    if not found.fitting:
        longest = "no remedy that was run there fits either; --max-seq-len finds the longest sequence that does"
        return f"too large for memory; {longest if found.flash_tried else untried}"
    fitting = dict.fromkeys(_fitting(row, found.problem) for row in found.fitting)
    return f"too large for memory; there {listed([*fitting])} fit{'s' if len(fitting) == 1 else ''}" + (
        "" if found.flash_tried else f"; {untried}"
    )


def _fitting(row: Measurement, instead_of: Problem) -> str:
    dtype = f" {row.problem.dtype}" if row.problem.dtype != instead_of.dtype else ""
    peak = circumstances.peak(row.passes.values())
    return f"{row.contender.name}{dtype} ({' and '.join(remedies_of(row))}, peak {peak} MB)"


def summary(rows: Iterable[Row]) -> list[str]:
    """Of each framework at the largest size, what saves most memory and what saves most time."""
    groups = by_sizes(solutions(rows))
    if not groups:
        return []
    lines = [f"{sizes(groups[0])}, against {bases(groups[0])} ({UNPAIRED}: not in turns):"]
    for home in dict.fromkeys(each.row.contender.home for each in groups[0]):
        own = [each for each in groups[0] if each.row.contender.home == home]
        lines += [f"least memory: {_said(for_memory(own)[0])}", f"least time: {_said(for_time(own)[0])}"]
    return lines


def _said(each: Solution) -> str:
    longest = [name for name in PASSES if name in each.times][-1:]
    times = "".join(f", {name} {time(each, name)}" for name in longest)
    ran = f" (ran {each.row.ran})" if each.row.ran else ""
    where = f"{each.row.problem.mask} {each.row.problem.dtype}"
    peak = f"{circumstances.peak(each.row.passes.values())} MB ({share(each.peak)})"
    return f"{each.row.contender.name}{ran} {where}: peak {peak}{times}; function: {each.function}"
