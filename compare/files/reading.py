"""Results as they are found, for reports: a line that is not right is named by its number and left out.

``merge`` is stricter (``results.lines``): what it writes must be whole.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from compare.circumstances import Line, Node, Run
from compare.files import results
from compare.records import Contender, Measurement, PassName, PassResult, Problem, Row

Rounds = dict[PassName, tuple[int, int]]  # of each pass by the device's clock and by the wall


class Found(NamedTuple):
    """What a file holds, a row for each case in each process, and a sentence on each line that was left out."""

    run: Run
    rows: list[Row]
    faults: list[str]


def read(path: Path) -> Found:
    """All of a file that is right.  Raises ValueError where no run record is, or one of a newer schema."""
    run: Run | None = None
    nodes: list[Node] = []
    rows: list[Row] = []
    faults: list[str] = []
    check = Check()
    with uncollected():
        for number, record in results.decoded(path, msgspec.json.Decoder(Line)):
            if isinstance(record, Run):
                run = record
            elif isinstance(record, Node):
                nodes.append(record)
            elif fault := record if isinstance(record, str) else check.fault(record, number):
                faults.append(f"{path}, line {number}: {fault}")
            elif not isinstance(record, str):
                rows.append(record)
    known = results.placed(results.last_run(path, [run] if run else []), nodes)
    return Found(known, sorted(rows, key=lambda row: row.process), faults)


class Check:
    """Whether a row can stand beside those before it."""

    def __init__(self) -> None:
        self._lines: dict[tuple[Problem, Contender, int], int] = {}
        self._rounds: dict[tuple[Problem, int], tuple[int, Rounds]] = {}

    def fault(self, row: Row, number: int) -> str:
        """What is wrong with a row by itself or beside others; empty where nothing is."""
        case = (row.problem, row.contender)
        before = self._lines.setdefault((*case, row.process), number)
        if before != number:
            return f"the case of line {before} once more"
        if row.process > 1 and (*case, 1) not in self._lines:
            return f"process {row.process} of a case whose first process is missing"
        return self._turns(row, number) if isinstance(row, Measurement) and not row.alone else ""

    def _turns(self, row: Measurement, number: int) -> str:
        """Ratios are formed within rounds, so all rows of a problem have as many."""
        own = {name: rounds(result) for name, result in row.passes.items()}
        line, known = self._rounds.setdefault((row.problem, row.process), (number, own))
        if any(own[name] != known.setdefault(name, own[name]) for name in own):
            return f"other rounds than line {line}, which measured the same problem: the two never took turns"
        return ""


def rounds(result: PassResult) -> tuple[int, int]:
    """How many rounds the samples of a pass make up, by the device's clock and by the wall."""
    return -(-len(result.device_s) // result.per_round), -(-len(result.wall_s) // result.per_round)


@contextmanager
def uncollected() -> Iterator[None]:
    """Rows hold no cycles, and they last: looking for garbage among them takes three times as long as reading them."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
