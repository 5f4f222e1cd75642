"""The page of ``diff``: what differs between the runs, what got worse and better, what could not be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from compare.choice.comparable import Difference
from compare.choice.mix import labels
from compare.choice.regression import Kind, Pair, Size, Time
from compare.findings.summary import WIDENED_FROM
from compare.findings.verdicts import VERDICTS
from compare.records import PASSES, Problem
from compare.report import format as fmt
from compare.report.headed import Section

COLUMNS = ("contender", *(f">{name}" for name in PASSES), ">peak", ">saved")
WIDE = "The interval reaches across the threshold: more rounds (a larger --budget) or more processes narrow it."
BUSY = "Other processes used more than a quarter of the CPUs in one of the runs: measure that again without them."
LOST: dict[Kind, str] = {"disagreement": "in disagreement", "failing": "failing", "missing": "missing"}
NONE_WORSE = "No regression is certain"
GROWTHS = ("MORE", "LESS", "SAME")
MOST = 10  # undecided changes that are spelled out
NOTE = (
    "Ratio: new / old, below 1 is faster. The runs took no turns, so both intervals count and no drift of the machine "
    "cancels. SLOWER, FASTER: the whole interval lies beyond the threshold of {threshold}, and every process on that "
    "side; SAME: within it; UNDECIDED: the rest. Bytes are counts: MORE, LESS beyond the threshold."
)
MACHINE = (
    "The device itself did not run alike: {what} at {ratio} of the old rate. What changes with it is the machine's "
    "doing and not a version's."
)


def sections(
    found: Sequence[Pair],
    differing: Sequence[Difference],
    rates: Sequence[tuple[str, float]],
    threshold: float,
    failing: bool,
    caution: str,
) -> list[Section]:
    """The page, the answer first."""
    worse = [line for each in found for line in lines(each, "SLOWER", "MORE")]
    better = [line for each in found for line in lines(each, "FASTER", "LESS")]
    undecided = [line for each in found for line in lines(each, "UNDECIDED")]
    note = NOTE.format(threshold=f"{threshold * 100:g}%")
    busy = any(time.ratio.busy for each in found for time in each.times.values())
    machine = [MACHINE.format(what=what, ratio=fmt.times(ratio)) for what, ratio in rates]
    return [
        Section("In short", f"{answer(found, failing)} {caution}".strip()),
        Section("Between the runs", points=[*(each.words for each in differing), *machine]),
        Section("Worse", points=[*worse, *reasons([each for each in found if each.lost])]),
        Section("Better", points=better),
        Section("Undecided", (BUSY if busy else WIDE) if undecided else "", points=some(undecided)),
        Section("Not compared", points=reasons([each for each in found if each.reason and not each.lost])),
        Section("Every case", note if any(each.times or each.sizes for each in found) else ""),
        *tables(found),
    ]


def bold(threshold: float, usual: float) -> str:
    """A caution where the threshold is too low for the processes that ran."""
    return (
        f"Two processes of one program differ too, which a threshold of {usual:.0%} holds and one of "
        f"{threshold * 100:g}% may not: fewer than {WIDENED_FROM} of each ran (--processes)."
    )


def answer(found: Sequence[Pair], failing: bool) -> str:
    """Whether that fails, and how many there are of each."""
    times = Counter(each.verdict for pair in found for each in pair.times.values())
    sizes = Counter(each.growth for pair in found for each in pair.sizes.values())
    lost = Counter(each.lost for each in found if each.lost)
    said = [f"{tally(times, VERDICTS)} of {fmt.plural(sum(times.values()), 'time')}"] if times else []
    said += [f"{tally(sizes, GROWTHS)} of {fmt.plural(sum(sizes.values()), 'count')} of bytes"] if sizes else []
    said += [f"{fmt.plural(count, 'case')} {LOST[kind]}" for kind, count in lost.items()]
    worse = any(each.kinds - {"missing"} for each in found)
    head = "Regressions" if failing else "Regressions of a kind that does not fail here" if worse else NONE_WORSE
    return f"{head}: {'; '.join(said)}."


def tally(counts: Counter[Any], words: Sequence[str]) -> str:
    """How often each word fell."""
    return ", ".join(f"{counts[word]} {word}" for word in words if counts[word])


def some(points: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(points) - MOST
    return [*points[:MOST], *([f"and {more} more, in the tables below"] if more > 0 else [])]


def reasons(found: Sequence[Pair]) -> list[str]:
    """What became of cases, those of one contender and reason together."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for each in found:
        groups.setdefault((each.contender.name, each.reason), []).append(each.problem)
    return [f"{who}: {reason} [{labels(problems)}]" for (who, reason), problems in groups.items()]


def name(each: Pair) -> str:
    """The case."""
    return f"{each.contender.name}, {each.problem.label}"


def lines(each: Pair, *words: str) -> Iterable[str]:
    """The times and sizes of a case that are one of these words."""
    for pass_name, time in each.times.items():
        if time.verdict in words:
            values = f"{fmt.duration(time.old.median)} -> {fmt.duration(time.new.median)}"
            yield f"{time.verdict} {fmt.ratio(time.ratio)} ({values}): {pass_name}, {name(each)}"
    for what, size in each.sizes.items():
        if size.growth in words:
            yield f"{size.growth} {grown(size)} ({fmt.size(size.old)} -> {fmt.size(size.new)}): {what}, {name(each)}"


def tables(found: Sequence[Pair]) -> list[Section]:
    """A table for each problem."""
    groups: dict[str, list[Pair]] = {}
    for each in found:
        if each.times or each.sizes:
            groups.setdefault(each.problem.label, []).append(each)
    return [Section(label, columns=COLUMNS, lines=[line(each) for each in group]) for label, group in groups.items()]


def line(each: Pair) -> tuple[str, ...]:
    """One case: of the peaks that which changed most."""
    peaks = [size for what, size in each.sizes.items() if what != "saved"]
    most = max(peaks, key=lambda size: abs(size.new - size.old), default=None)
    times = (timed(each.times[name]) if name in each.times else fmt.NONE for name in PASSES)
    return each.contender.name, *times, *map(sized, (most, each.sizes.get("saved")))


def timed(time: Time) -> str:
    """A ratio of times, with its verdict unless that is SAME."""
    return fmt.ratio(time.ratio) + (f"\n{time.verdict}" if time.verdict != "SAME" else "")


def sized(size: Size | None) -> str:
    """A ratio of bytes, with what it says unless that is SAME."""
    if size is None:
        return fmt.NONE
    return grown(size) + (f"\n{size.growth}" if size.growth != "SAME" else "")


def grown(size: Size) -> str:
    """After over before; from nothing there is no ratio."""
    return fmt.times(size.new / size.old) if size.old else "1.00x" if not size.new else "from 0"
