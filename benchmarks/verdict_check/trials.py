"""Trials: how often each method called a pair different, and whether that meets the requirements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.verdict_check.protocols import PROTOCOLS
from benchmarks.verdict_check.rules import Called, Reading
from benchmarks.verdict_check.wanted import share_of
from compare.analysis.times import Compared
from compare.schema.records import Contender, PassName, Problem, Record

OURS = "this program"
MOST_FALSE, MOST_OFF, LEAST_FOUND = 0.08, 0.007, 0.95
Workers = Literal["backend", "contender"]  # all contenders of a backend in one process, or each in its own


class Sampled(Record, frozen=True):
    """The samples of one contender in one pass by one protocol, in seconds per call."""

    workers: Workers
    problem: Problem
    contender: Contender
    pass_name: PassName
    protocol: str
    seconds: tuple[float, ...]


class Trial(Record, frozen=True):
    """One pair and the decision of one method."""

    method: str
    workers: Workers
    problem: Problem
    contender: Contender
    pass_name: PassName
    ratio: float
    called: Called


class Tally(NamedTuple):
    """Trials of one method: counts, and the median distance of the ratio from 1."""

    trials: int
    slower: int
    faster: int
    median_off: float

    @property
    def different(self) -> int:
        """Trials called SLOWER or FASTER."""
        return self.slower + self.faster


class Requirement(NamedTuple):
    """A requirement, the result, and whether it is met."""

    required: str
    found: str
    met: bool

    @property
    def line(self) -> str:
        """One line for the report."""
        return f"required: {self.required}; found: {self.found}: {'met' if self.met else 'NOT MET'}"


def trials_of(group: Sequence[Sampled]) -> list[Trial]:
    """Samples of one problem, pass and protocol: every later contender compared with the first, by each rule."""
    first, *others = group
    return [
        _trial(method, other, rule(first.seconds, other.seconds))
        for other in others
        for method, rule in PROTOCOLS[other.protocol].rules.items()
    ]


def _trial(method: str, sampled: Sampled, reading: Reading) -> Trial:
    return Trial(
        method=method,
        workers=sampled.workers,
        problem=sampled.problem,
        contender=sampled.contender,
        pass_name=sampled.pass_name,
        ratio=reading.ratio,
        called=reading.called,
    )


def ours(compared: Iterable[Compared], workers: Workers) -> list[Trial]:
    """The program's own verdicts; SAME and UNDECIDED count as no difference."""
    return [
        Trial(
            method=OURS,
            workers=workers,
            problem=each.problem,
            contender=each.contender,
            pass_name=each.pass_name,
            ratio=each.ratio.median,
            called=each.verdict if each.verdict == "FASTER" or each.verdict == "SLOWER" else "NEITHER",
        )
        for each in compared
    ]


def by_method(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """The trials of each method, in order of first appearance."""
    names = dict.fromkeys(each.method for each in trials)
    return {name: [each for each in trials if each.method == name] for name in names}


def tally(trials: Sequence[Trial]) -> Tally:
    """Counts and median distance of some trials."""
    calls = [each.called for each in trials]
    off = median(abs(each.ratio - 1) for each in trials) if trials else 0.0
    return Tally(len(trials), calls.count("SLOWER"), calls.count("FASTER"), off)


def complete(trials: Sequence[Trial], expected: int) -> Requirement:
    """The program must give a verdict on every pair; a row that failed or disagrees with the oracle has none."""
    found = sum(each.method == OURS for each in trials)
    return Requirement("a verdict on every pair", f"{found} of {expected}", found == expected)


def equal_requirements(trials: Sequence[Trial]) -> list[Requirement]:
    """Equal pairs: few called different, and ratios near 1."""
    found = tally([each for each in trials if each.method == OURS])
    if not found.trials:
        return []
    return [
        Requirement(
            f"FASTER or SLOWER in at most {MOST_FALSE:.0%}",
            _of(found.different, found.trials),
            found.different <= MOST_FALSE * found.trials,
        ),
        Requirement(
            f"median |ratio - 1| at most {MOST_OFF:.1%}", f"{found.median_off:.2%}", found.median_off <= MOST_OFF
        ),
    ]


def planted_requirements(trials: Sequence[Trial]) -> list[Requirement]:
    """Planted slow-downs, each share separately: nearly all found."""
    program = [each for each in trials if each.method == OURS]
    requirements = []
    for share in sorted({share_of(each.contender) for each in program}):
        found = tally([each for each in program if share_of(each.contender) == share])
        enough = found.slower >= LEAST_FOUND * found.trials
        requirements.append(
            Requirement(
                f"{share}% more work SLOWER in at least {LEAST_FOUND:.0%}", _of(found.slower, found.trials), enough
            )
        )
    return requirements


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})"
