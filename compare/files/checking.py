"""Whether a row of a results file can stand beside those before it: ratios are formed within rounds and processes."""

from __future__ import annotations

from typing import NamedTuple

from compare.records import Contender, Measurement, PassResult, Problem, Row

Rounds = tuple[int, int]  # by the device's clock and by the wall


class Standing(NamedTuple):
    """A row that stands: its line, and the passes that it measured."""

    number: int
    passes: frozenset[str]


class Check:
    """What is wrong with rows, one after the other; a row with a fault is as if it were not there."""

    def __init__(self) -> None:
        self._stands: dict[tuple[Problem, Contender, int], Standing] = {}
        self._rounds: dict[tuple[Problem, int], tuple[int, set[Rounds]]] = {}

    def fault(self, row: Row, number: int) -> str:
        """What is wrong with a row by itself or beside others; empty where nothing is."""
        key = (row.problem, row.contender, row.process)
        if before := self._stands.get(key):
            return f"the case of line {before.number} once more"
        passes = frozenset(row.passes) if isinstance(row, Measurement) else frozenset()
        found = self._process(row, passes) if row.process > 1 else ""
        found = found or (self._turns(row, number) if isinstance(row, Measurement) else "")
        if not found:
            self._stands[key] = Standing(number, passes)
        return found

    def _process(self, row: Row, passes: frozenset[str]) -> str:
        """What a later process showed is told with the first one's row, pass by pass."""
        first = self._stands.get((row.problem, row.contender, 1))
        if first is None:
            return f"process {row.process} of a case whose first process is missing"
        if isinstance(row, Measurement) and not first.passes <= passes:
            lacks = ", ".join(sorted(first.passes - passes))
            return f"process {row.process} without {lacks}, which line {first.number} of the same case has"
        return ""

    def _turns(self, row: Measurement, number: int) -> str:
        """Each round is a turn of every pass of every contender, so all of a problem have as many."""
        own = {rounds(result) for result in row.passes.values()}
        if any(result.repeats for result in row.passes.values()):
            return "samples of other processes, which have rows of their own"
        if len(own) > 1:
            return "other rounds in one pass than in another: the two never took turns"
        if own and not row.alone:
            line, known = self._rounds.setdefault((row.problem, row.process), (number, own))
            if known != own:
                return f"other rounds than line {line}, which measured the same problem: the two never took turns"
        return ""


def rounds(result: PassResult) -> Rounds:
    """How many rounds the samples of a pass make up, by the device's clock and by the wall."""
    return -(-len(result.device_s) // result.per_round), -(-len(result.wall_s) // result.per_round)
