"""Trials and what they come to: how often each method called a pair different, and whether that is what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal, NamedTuple

from compare.analysis.times import Compared
from compare.schema.records import Contender, PassName, Problem, Record
from scripts.verdict_check.protocols import PROTOCOLS
from scripts.verdict_check.rules import Called, Said
from scripts.verdict_check.wanted import share_of

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
    """One pair and what a method said of it."""

    method: str
    workers: Workers
    problem: Problem
    contender: Contender
    pass_name: PassName
    ratio: float
    called: Called


class Tally(NamedTuple):
    """Trials of one method: how many, how many called slower and faster, and the median distance of the ratio to 1."""

    trials: int
    slower: int
    faster: int
    median_off: float

    @property
    def different(self) -> int:
        """Called one or the other."""
        return self.slower + self.faster


class Ask(NamedTuple):
    """Something that was asked, what came out, and whether it holds."""

    asked: str
    found: str
    holds: bool

    @property
    def line(self) -> str:
        """In one line."""
        return f"asked: {self.asked}; found: {self.found}: {'holds' if self.holds else 'DOES NOT HOLD'}"


def judged(group: Sequence[Sampled]) -> list[Trial]:
    """Samples of one problem, pass and protocol: every later contender against the first, by each rule."""
    first, *others = group
    return [
        _trial(method, other, rule(first.seconds, other.seconds))
        for other in others
        for method, rule in PROTOCOLS[other.protocol].rules.items()
    ]


def _trial(method: str, sampled: Sampled, said: Said) -> Trial:
    return Trial(
        method=method,
        workers=sampled.workers,
        problem=sampled.problem,
        contender=sampled.contender,
        pass_name=sampled.pass_name,
        ratio=said.ratio,
        called=said.called,
    )


def ours(compared: Iterable[Compared], workers: Workers) -> list[Trial]:
    """The program's own verdicts; SAME and UNDECIDED call nobody different."""
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
    """The trials of each method, in the order in which they first appear."""
    names = dict.fromkeys(each.method for each in trials)
    return {name: [each for each in trials if each.method == name] for name in names}


def tally(trials: Sequence[Trial]) -> Tally:
    """The numbers of some trials."""
    calls = [each.called for each in trials]
    off = median(abs(each.ratio - 1) for each in trials) if trials else 0.0
    return Tally(len(trials), calls.count("SLOWER"), calls.count("FASTER"), off)


def complete(trials: Sequence[Trial], expected: int) -> Ask:
    """That the program judged every pair: a row without numbers, or with wrong ones, is no trial."""
    found = sum(each.method == OURS for each in trials)
    return Ask("every pair judged", f"{found} of {expected}", found == expected)


def equal_asks(trials: Sequence[Trial]) -> list[Ask]:
    """Of the same contender twice: hardly ever told apart, and ratios near 1."""
    found = tally([each for each in trials if each.method == OURS])
    if not found.trials:
        return []
    return [
        Ask(
            f"FASTER or SLOWER in at most {MOST_FALSE:.0%}",
            _of(found.different, found.trials),
            found.different <= MOST_FALSE * found.trials,
        ),
        Ask(f"median |ratio - 1| at most {MOST_OFF:.1%}", f"{found.median_off:.2%}", found.median_off <= MOST_OFF),
    ]


def planted_asks(trials: Sequence[Trial]) -> list[Ask]:
    """Of the planted slow-downs, each share by itself: nearly all found."""
    program = [each for each in trials if each.method == OURS]
    asks = []
    for share in sorted({share_of(each.contender) for each in program}):
        found = tally([each for each in program if share_of(each.contender) == share])
        enough = found.slower >= LEAST_FOUND * found.trials
        asks.append(
            Ask(f"{share}% more work SLOWER in at least {LEAST_FOUND:.0%}", _of(found.slower, found.trials), enough)
        )
    return asks


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})"
