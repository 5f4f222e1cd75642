"""Results as they are found, for reports: a line that is not right is named by its number and left out.

``merge``, ``select`` and ``diff`` are stricter (``results.lines``): there all must be whole.
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
from compare.files.checking import Check
from compare.records import Row


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


@contextmanager
def uncollected() -> Iterator[None]:
    """Rows hold no cycles, and they last: looking for garbage among them takes three times as long as reading them."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collected:
            gc.enable()
