"""What the terminal and the Markdown report say about verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import median

from compare.circumstances import Settings
from compare.findings.summary import WIDENED_FROM
from compare.findings.verdicts import NEAR, VERDICTS, Compared, counts, too_near
from compare.report import format as fmt

MOST_TURNED = 3
WALL_NOTE = (
    "By the wall, which holds Python, dispatch and the gaps between kernels too, these are the other way round; on a "
    "CPU PyTorch's device time holds its dispatch and JAX's does not:"
)


def verdict_lines(found: Sequence[Compared]) -> list[str]:
    """How often each contender was what, pass by pass, in words."""
    lines = []
    for (contender, name), tally in counts(found).items():
        words = ", ".join(f"{tally[word]} {word}" for word in VERDICTS if tally[word])
        lines.append(f"{contender.name}, {name}: {words} (of {fmt.plural(sum(tally.values()), 'problem')})")
    return lines


def process_note(found: Sequence[Compared]) -> str:
    """How far the processes differ, in words."""
    spreads = {each: max(each.ratio.by_process) / min(each.ratio.by_process) - 1 for each in found}
    widest = max(found, key=lambda each: spreads[each])
    count = max(len(each.ratio.by_process) for each in found)
    most = "up to " if any(len(each.ratio.by_process) < count for each in found) else ""
    where = f"{widest.contender.name}, {widest.pass_name}, {widest.problem.label}"
    return (
        f"Over {most}{count} processes the lowest and highest ratio differ by {median(spreads.values()):.1%} in the "
        f"median, by {spreads[widest]:.1%} at most ({where})."
    )


def verdict_note(same_within: float) -> str:
    """What the four words mean."""
    within = f"±{same_within * 100:g}%"
    return (
        f"SAME: the whole 95% interval of the ratio lies within {within} of 1. FASTER, SLOWER: otherwise, and the "
        "interval excludes 1. UNDECIDED: the rest. Where several processes ran, each of them must lie on the verdict's "
        "side, and on a CPU other programs must have left three quarters of it. A verdict holds for the processes that "
        "ran."
    )


def cautions(found: Sequence[Compared], settings: Settings) -> list[str]:
    """That few processes on a CPU cannot bear a small difference between two of them, and how many verdicts that is."""
    near = [
        each
        for each in found
        if each.verdict in ("FASTER", "SLOWER") and too_near(each.ratio, each.contender, each.reference, settings)
    ]
    if not near:
        return []
    return [
        f"{fmt.plural(len(near), 'verdict')} of FASTER or SLOWER within {NEAR:.0%} of 1 between processes: on a CPU "
        "two that run the same code differ by about a percent for as long as they live, and fewer than "
        f"{WIDENED_FROM} of each cannot tell; decide by --processes {WIDENED_FROM}"
    ]


def wall_lines(found: Sequence[Compared]) -> list[str]:
    """Verdicts that the wall clock turns round, the most striking first."""
    turned = [each for each in found if each.wall_disagrees]
    turned.sort(key=lambda each: -abs(log(each.wall.median / each.ratio.median)))
    lines = [
        f"{each.contender.name}, {each.pass_name}, {each.problem.label}: {each.verdict} by device time "
        f"({fmt.ratio(each.ratio)}), the opposite by the wall ({fmt.ratio(each.wall)})"
        for each in turned[:MOST_TURNED]
    ]
    more = len(turned) - MOST_TURNED
    return lines + ([f"{fmt.plural(more, 'more verdict')} of this kind"] if more > 0 else [])
