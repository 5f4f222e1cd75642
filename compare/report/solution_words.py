"""What the terminal and the Markdown report say about solutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compare.choice.mix import labels
from compare.findings.remedies import FLASH, Solution, by_sizes, for_memory, for_time, remedies_of, solutions
from compare.findings.summary import device_time
from compare.findings.ways_out import WayOut
from compare.records import PASSES, Measurement, PassName, Problem, Row
from compare.report import format as fmt
from compare.report import legend
from compare.report.words import listed

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


def ways_out(found: Sequence[WayOut]) -> list[str]:
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
    return f"{row.contender.name}{dtype} ({' and '.join(remedies_of(row))}, peak {legend.peak(row.passes.values())} MB)"


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
    peak = f"{legend.peak(each.row.passes.values())} MB ({share(each.peak)})"
    return f"{each.row.contender.name}{ran} {where}: peak {peak}{times}; function: {each.function}"
