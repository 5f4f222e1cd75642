"""What changed from one run to another: times, memory, numbers, and cases that no longer run.

The two never took turns, so a ratio of times has the intervals of both, added in squares, and no drift cancels.
Processes of the same program differ too, by more than intervals of a few of them hold.  So a time is SLOWER only where
the whole interval lies beyond a threshold, and every process of the one above every process of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from compare.device_rate import DeviceRate
from compare.findings.conditions import BUSY_MACHINE
from compare.findings.gather import outcome_of
from compare.findings.processes import FAILED
from compare.findings.summary import Estimate, device_time, trusted, unpaired_ratio
from compare.findings.verdicts import Verdict
from compare.records import PASSES, RESIDENT, Contender, Device, Measurement, PassName, PassResult, Problem, Row

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
        reason = "its numbers disagree" if new.agreement else "its numbers were not judged"
        return replace(found, lost="disagreement" if new.agreement and trusted(old) else None, reason=reason)
    if not trusted(old):
        return replace(found, reason="its numbers agree now")
    if old.alone != new.alone:
        return replace(found, reason="had the device to itself in one of the runs")
    if failures := failed(new)[len(failed(old)) :]:
        return replace(found, lost="failing", reason="; ".join(failures))
    gone = [name for name in old.passes if name not in new.passes]
    return replace(found, lost="missing", reason=f"without {', '.join(gone)}") if gone else found


def failed(row: Measurement) -> list[str]:
    """In which processes the case failed beside those in which it was measured, and why."""
    return [notice.text for notice in row.warnings if notice.code == FAILED]


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
