"""Whether a row of a results file can stand beside those before it: ratios are formed within rounds and processes."""

from __future__ import annotations

from compare.records import Contender, Measurement, PassResult, Problem, Row

Rounds = tuple[int, int]  # by the device's clock and by the wall


class Check:
    """What is wrong with rows, one after the other; a row with a fault is as if it were not there."""

    def __init__(self) -> None:
        self._stands: dict[tuple[Problem, Contender, int], tuple[int, Row]] = {}
        self._rounds: dict[tuple[Problem, int], tuple[int, set[Rounds]]] = {}

    def fault(self, row: Row, number: int) -> str:
        """What is wrong with a row by itself or beside others; empty where nothing is."""
        key = (row.problem, row.contender, row.process)
        if key in self._stands:
            return f"the case of line {self._stands[key][0]} once more"
        found = self._process(row) if row.process > 1 else ""
        found = found or (self._turns(row, number) if isinstance(row, Measurement) else "")
        if not found:
            self._stands[key] = number, row
        return found

    def _process(self, row: Row) -> str:
        """What a later process showed is told with the first one's row, pass by pass."""
        number, first = self._stands.get((row.problem, row.contender, 1), (0, None))
        if first is None:
            return f"process {row.process} of a case whose first process is missing"
        if isinstance(row, Measurement) and isinstance(first, Measurement):
            lacks = ", ".join(name for name in first.passes if name not in row.passes)
            return f"process {row.process} without {lacks}, which line {number} of the same case has" if lacks else ""
        return ""

    def _turns(self, row: Measurement, number: int) -> str:
        """Each round is a turn of every pass of every contender, so all of a problem have as many."""
        passes = row.passes.values()
        own = {*map(rounds, passes)}
        if any(result.repeats for result in passes):
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
