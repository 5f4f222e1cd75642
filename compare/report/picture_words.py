"""What stands below each picture, and the two colours in whose place the page puts its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

INK, PAPER = "#1b1b1f", "#fdfdfe"

TIME = (
    "Medians with their 95% intervals, which are often smaller than the mark. A slope is the exponent of the "
    "sequence length between the two longest. A floor is the least time that a variant's bytes and FLOPs could "
    "take at this device's own rates."
)
MEMORY = (
    "The highest allocation during a pass above what was allocated before it. It is counted, not sampled, and has"
    " no interval. A slope is the exponent of the sequence length between the two longest, where both were weighed"
    " in one way."
)
GROWTH = (
    " Some peaks here are no counts but growth of resident memory (≈ in the tables), which varies by tens of percent"
    " from process to process."
)
FLOOR = (
    "The floor over device time, with the 95% interval of the time: 100% is as fast as the count of the variant's"
    " bytes and FLOPs allows. What is over 100%, or was served by a cache, is marked in the table of floors."
)
RATIOS = (
    "Device time over that of the reference, with its 95% interval and the verdict: below 1 is faster. The "
    "colours end at a quarter and at four times. – where no ratio would be fair, or nothing was measured."
)
COSTS = (
    "What each pass cost before its first sample, and what a steady call takes by the wall, with its 95% "
    "interval. Dispatch is the part of a steady call that is not the device's. Costs were taken once and have no "
    "interval; what cost nothing is not shown."
)
FRONTS = (
    "Device time, with its 95% interval, beside the highest peak of the passes, for the largest sizes. Filled: no"
    " other one is surely faster (its interval ends before this one's begins) and needs no more memory; the "
    "dotted line joins these. Hollow: there is such another one. All dtypes stand side by side, though they were "
    "measured one after the other, and less exact numbers are not held against a row here."
)
INSIDE = (
    "Bytes above those at the start of one iteration of each pass, as its framework's profiler saw it before the first"
    " sample; a level lasts until the next change. It took longer under the profiler than the tables say, so time is a"
    " share of it. On a GPU a moment is the host's, which asks for memory before the kernels that use it run. A row's"
    " peak is above its line where a compiler takes all of its plan at once, of which the line is what is in use, and"
    " where its kernels take more outside of the plan."
)


def inside(sources: Mapping[str, Sequence[str]], untold: Mapping[str, Sequence[str]]) -> str:
    """The caption of memory inside one iteration, by who says so, with the contenders that have no line."""
    said = "; ".join(f"{' and '.join(homes)}: {source}" for source, homes in sources.items())
    lacking = "".join(f" No line for {', '.join(names)}: {reason}." for reason, names in untold.items())
    return f"{INSIDE} By whom: {said}.{lacking}"
