"""``diff``: what changed from one run to another: times, memory, numbers, and cases that no longer run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from compare.analysis import text as fmt
from compare.analysis.mix import labels
from compare.analysis.notices import worded
from compare.analysis.sections import Column, Section, Table, number
from compare.machine.load import BUSY_MACHINE
from compare.results.merging import EFFORT, circumstances
from compare.results.rows import FAILED, outcome_of
from compare.schema.records import (
    PASSES,
    RESIDENT,
    Contender,
    Device,
    DeviceRate,
    Measurement,
    PassName,
    PassResult,
    Problem,
    Row,
    Run,
)
from compare.stats.estimates import WIDENED_FROM, Estimate, device_time, trusted, unpaired_ratio
from compare.stats.verdicts import VERDICTS, Verdict

VERSIONS = re.compile(
    r"schema version|program version|code|host (python|system|libc)|\S+ versions|variable \w*VERSION\w*"
)
SURENESS = EFFORT | {"processes", "same_within"}


class Difference(msgspec.Struct, frozen=True):
    """One thing that two runs do not share; None: one of them does not have it."""

    name: str
    old: Any
    new: Any

    @property
    def may_be(self) -> bool:
        """Whether it is a version, where one lies, or how much was sampled."""
        places = all(value is None or str(value).startswith("/") for value in (self.old, self.new))
        variable = self.name.startswith("variable ")
        return bool(VERSIONS.fullmatch(self.name)) or self.name in SURENESS or (variable and places)

    @property
    def words(self) -> str:
        """From old to new."""
        return f"{self.name}: {_said(self.old)} -> {_said(self.new)}"


def differences(old: Run, new: Run) -> list[Difference]:
    """What differs; of a backend that only one of them had nothing."""
    before, after = facts(old), facts(new)
    names = [name for name in before | after if (name in before and name in after) or name.startswith("variable ")]
    return [Difference(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def check(old: tuple[Path, Run], new: tuple[Path, Run]) -> list[Difference]:
    """What differs and may.  Raises ValueError with what may not."""
    found = differences(old[1], new[1])
    told = "; ".join(each.words for each in found if not each.may_be)
    if told:
        raise ValueError(f"{new[0]} is not comparable with {old[0]}: settings differ ({told})")
    return found


def facts(run: Run) -> dict[str, Any]:
    """All that changes results, and the versions of what lies below, by name."""
    found = dict(circumstances(replace(run, nodes=())))
    variables = found.pop("environment variables")
    host = {f"host {name}": run.host.get(name) for name in ("system", "libc")}
    return found | host | {f"variable {name}": value for name, value in variables.items()}


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "none" if value in (None, "") else str(value)


Kind = Literal["slower", "memory", "disagreement", "failing", "missing"]
KINDS: tuple[Kind, ...] = ("slower", "memory", "disagreement", "failing", "missing")
Growth = Literal["MORE", "LESS", "SAME"]
# Above what the same program differs by: on an H100 0.2 to 0.4% between two processes, and ratios of two runs by 1.2%
# at most in 18 passes (results/h100); on two CPU cores 1 to 2%, of ten pairs the root mean square is up to 2.4%
# (results/cpu).
THRESHOLDS: dict[Device, float] = {"gpu": 0.03, "cpu": 0.05}


class Time(msgspec.Struct, frozen=True):
    """Device time of one pass, before and after, and their ratio."""

    old: Estimate
    new: Estimate
    ratio: Estimate
    verdict: Verdict


class Size(msgspec.Struct, frozen=True):
    """A count of bytes, before and after."""

    old: int
    new: int
    growth: Growth


class Pair(msgspec.Struct, frozen=True):
    """One case in both runs: its times, its peaks and saved bytes, and what keeps it from being compared.

    ``lost``: of what kind a case that was measured and agreed is gone, and ``reason``, which other cases may have too.
    """

    problem: Problem
    contender: Contender
    times: dict[PassName, Time]
    sizes: dict[str, Size]
    lost: Kind | None = None
    reason: str = ""

    @property
    def kinds(self) -> set[Kind]:
        """What got worse."""
        slower = any(each.verdict == "SLOWER" for each in self.times.values())
        more = any(each.growth == "MORE" for each in self.sizes.values())
        found: dict[Kind, bool] = {"slower": slower, "memory": more}
        return {kind for kind, holds in found.items() if holds} | ({self.lost} if self.lost else set())


def pairs(old: Sequence[Row], new: Sequence[Row], threshold: float) -> list[Pair]:
    """Every case of either run, in the order of the old one."""
    before, after = ({(row.problem, row.contender): row for row in rows} for rows in (old, new))
    return [pair(before.get(case), after.get(case), threshold) for case in dict.fromkeys((*before, *after))]


def pair(old: Row | None, new: Row | None, threshold: float) -> Pair:
    """One case in both."""
    some = old or new
    assert some is not None
    found = Pair(some.problem, some.contender, {}, {})
    if old is None or new is None:
        gone = isinstance(old, Measurement)
        return replace(found, lost="missing" if gone else None, reason="is new" if old is None else "is missing")
    if not isinstance(new, Measurement):
        lost: Kind | None = "failing" if isinstance(old, Measurement) else None
        return replace(found, lost=lost, reason=f"{outcome_of(new)}: {new.reason}")
    if not isinstance(old, Measurement):
        return replace(found, reason=f"runs now; before, {outcome_of(old)}: {old.reason}")
    return replace(_numbers(old, new), times=_times(old, new, threshold), sizes=_sizes(old, new, threshold))


def _numbers(old: Measurement, new: Measurement) -> Pair:
    """Whether the numbers can be trusted in both, and whether the same was timed."""
    found = Pair(old.problem, old.contender, {}, {})
    if not trusted(new):
        reason = "its numbers disagree" if new.agreement else "its numbers were not verified"
        return replace(found, lost="disagreement" if new.agreement and trusted(old) else None, reason=reason)
    if not trusted(old):
        return replace(found, reason="its numbers agree now")
    if old.alone != new.alone:
        return replace(found, reason="was measured alone in one of the runs")
    if failures := failed(new)[len(failed(old)) :]:
        return replace(found, lost="failing", reason="; ".join(failures))
    gone = [name for name in old.passes if name not in new.passes]
    return replace(found, lost="missing", reason=f"without {', '.join(gone)}") if gone else found


def failed(row: Measurement) -> list[str]:
    """In which processes the case failed beside those in which it was measured, and why."""
    return [worded(notice) for notice in row.warnings if notice.code == FAILED]


def _times(old: Measurement, new: Measurement, threshold: float) -> dict[PassName, Time]:
    """The passes of two rows that agree."""
    if not (trusted(old) and trusted(new)) or old.alone != new.alone:
        return {}
    busy = any(notice.code == BUSY_MACHINE for notice in (*old.warnings, *new.warnings))
    shared = [name for name in PASSES if name in old.passes and name in new.passes]
    return {name: _time(old.passes[name], new.passes[name], busy, threshold) for name in shared}


def _time(old: PassResult, new: PassResult, busy: bool, threshold: float) -> Time:
    before, after = device_time(old), device_time(new)
    ratio = replace(unpaired_ratio(new, old), busy=busy, by_process=extremes(before, after))
    return Time(before, after, ratio, changed(ratio, threshold))


def extremes(old: Estimate, new: Estimate) -> tuple[float, ...]:
    """The lowest and the highest ratio of any process to any of before; empty where either ran in one only."""
    before, after = old.by_process or (old.median,), new.by_process or (new.median,)
    several = len(before) + len(after) > 2
    return (min(after) / max(before), max(after) / min(before)) if several else ()


def changed(ratio: Estimate, threshold: float) -> Verdict:
    """SLOWER or FASTER where the whole interval is beyond the threshold, and SAME where it is within it."""
    most = 1 + threshold
    if ratio.busy:
        return "UNDECIDED"
    if ratio.low > most and all(each > 1 for each in ratio.by_process):
        return "SLOWER"
    if ratio.high < 1 / most and all(each < 1 for each in ratio.by_process):
        return "FASTER"
    return "SAME" if 1 / most <= ratio.low and ratio.high <= most else "UNDECIDED"


def _sizes(old: Measurement, new: Measurement, threshold: float) -> dict[str, Size]:
    """The peak of each pass, and what is saved, as far as both were counted in one way."""
    found = {
        f"{name} peak": counted(old.passes[name], new.passes[name])
        for name in PASSES
        if name in old.passes and name in new.passes
    }
    found["saved"] = (old.saved_bytes, new.saved_bytes)
    return {
        name: Size(before, after, grown(before, after, threshold))
        for name, (before, after) in found.items()
        if before is not None and after is not None
    }


def counted(old: PassResult, new: PassResult) -> tuple[int | None, int | None]:
    """The peaks by one and the same count.  Resident memory is none, as it varies: there it is what XLA planned."""
    if old.peak_source == new.peak_source != RESIDENT:
        return old.peak_bytes, new.peak_bytes
    return old.buffer_bytes, new.buffer_bytes


def grown(old: int, new: int, threshold: float) -> Growth:
    """Whether a count of bytes changed by more than the threshold."""
    if new > old * (1 + threshold):
        return "MORE"
    return "LESS" if old > new * (1 + threshold) else "SAME"


def device_changes(old: Iterable[DeviceRate], new: Iterable[DeviceRate], threshold: float) -> list[tuple[str, float]]:
    """How the device itself copies and multiplies, after over before, where it differs by more than the threshold."""
    before = {(each.backend, each.dtype, each.matmul_precision): each for each in old}
    found = []
    for each in new:
        other = before.get((each.backend, each.dtype, each.matmul_precision))
        for what, name in (("copies", "copy_bytes_per_s"), ("products", "matmul_flops_per_s")):
            one, two = getattr(other, name, None), getattr(each, name)
            if one and two and not 1 / (1 + threshold) <= two / one <= 1 + threshold:
                found.append((f"{what} by {each.backend} in {each.dtype} {each.matmul_precision}", two / one))
    return found


COLUMNS = (Column("contender"), *(number(name) for name in (*PASSES, "peak", "saved")))
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
    "Device throughput changed between the runs: {what} at {ratio} of the old rate. Times that changed with it are due "
    "to the machine, not to a version."
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
        Section("In short", [f"{answer(found, failing)} {caution}".strip()]),
        Section("Between the runs", points=[*(each.words for each in differing), *machine]),
        Section("Worse", points=[*worse, *reasons([each for each in found if each.lost])]),
        Section("Better", points=better),
        Section("Undecided", [BUSY if busy else WIDE] if undecided else [], points=some(undecided)),
        Section("Not compared", points=reasons([each for each in found if each.reason and not each.lost])),
        Section("Every case", [note] if any(each.times or each.sizes for each in found) else []),
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
            yield f"{size.growth} {growth(size)} ({fmt.size(size.old)} -> {fmt.size(size.new)}): {what}, {name(each)}"


def tables(found: Sequence[Pair]) -> list[Section]:
    """A table for each problem."""
    groups: dict[str, list[Pair]] = {}
    for each in found:
        if each.times or each.sizes:
            groups.setdefault(each.problem.label, []).append(each)
    return [Section(label, tables=[Table(COLUMNS, [line(each) for each in group])]) for label, group in groups.items()]


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
    return growth(size) + (f"\n{size.growth}" if size.growth != "SAME" else "")


def growth(size: Size) -> str:
    """After over before; from nothing there is no ratio."""
    return fmt.times(size.new / size.old) if size.old else "1.00x" if not size.new else "from 0"
