"""Results as they are found, for reports: a line that is not right is named by its number and left out.

``merge``, ``select`` and ``diff`` are stricter (``results.lines``): there all must be whole.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from compare.results import processes
from compare.schema.records import SCHEMA_VERSION, Contender, Line, Measurement, Node, PassResult, Problem, Row, Run

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


RESULTS = "results.jsonl"
REPORT = "report.md"
LONGEST = "max_seq_len.jsonl"  # what --max-seq-len finds
Kind = TypeVar("Kind")


class Log:
    """Appends records to the results file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()

    def append(self, record: Line) -> None:
        """Write one record and hand it to the system at once."""
        with self._path.open("ab") as file:
            file.write(self._encoder.encode(record) + b"\n")

    def append_run(self, run: Run) -> None:
        """Write a whole run record, its nodes as lines of their own."""
        self.append(replace(run, nodes=()))
        for node in run.nodes:
            self.append(node)


class Header(msgspec.Struct):
    """All that can be read of a run record whatever its schema."""

    kind: str = ""
    schema_version: int = 0
    program_version: str = ""


def read(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file and a row for each case.  Raises ValueError with the number of a bad line."""
    run, rows = lines(path)
    return run, processes.joined(rows)


def lines(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file, with its nodes, and the rows: one for each case in each process.

    Raises ValueError with the number of a bad line, or of a row that cannot stand beside those before it.
    """
    records = whole(path, msgspec.json.Decoder(Line))
    nodes = [record for record in records if isinstance(record, Node)]
    numbered = [(number, each) for number, each in enumerate(records, 1) if not isinstance(each, Run | Node)]
    check = Check()
    for number, row in numbered:
        if fault := check.fault(row, number):
            raise ValueError(f"{path}, line {number}: {fault}")
    return placed(last_run(path, records), nodes), [row for _, row in numbered]


def placed(run: Run, nodes: Iterable[Node]) -> Run:
    """The run record with its nodes; of each the last one is complete."""
    return replace(run, nodes=tuple({node.name: node for node in nodes}.values()))


def whole(path: Path, decoder: msgspec.json.Decoder[Kind]) -> list[Kind]:
    """Every record of a file.  Raises ValueError with the number of a bad line."""
    records = []
    for number, record in decoded(path, decoder):
        if isinstance(record, str):
            raise ValueError(f"{path}, line {number}: {record}")
        records.append(record)
    return records


def last_run(path: Path, records: Sequence[object]) -> Run:
    """The run record that counts.  Raises ValueError where there is none."""
    runs = [record for record in records if isinstance(record, Run)]
    if not runs:
        raise ValueError(f"{path}: expected a line of kind 'run', got none")
    return runs[-1]


def decoded(path: Path, decoder: msgspec.json.Decoder[Kind]) -> Iterator[tuple[int, Kind | str]]:
    """Each line's number with its record, or with what is wrong with it.  Raises ValueError on a newer schema."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record: Kind | str = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                refuse_newer(line, f"{path}, line {number}")
                record = str(error)
            if isinstance(record, Run) and record.schema_version > SCHEMA_VERSION:
                refuse_newer(line, f"{path}, line {number}")
            yield number, record


def refuse_newer(line: bytes, where: str) -> None:
    """Raise ValueError where the line is a run record of a schema that is newer than this program's."""
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if header.kind == "run" and header.schema_version > SCHEMA_VERSION:
        raise ValueError(
            f"{where}: schema version {header.schema_version}, written by attention-compare "
            f"{header.program_version[:20]!r}; this one reads 1 to {SCHEMA_VERSION}: use that program or a newer one"
        )


class Found(NamedTuple):
    """What a file holds, a row for each case in each process, and a sentence on each line that was left out."""

    run: Run
    rows: list[Row]
    faults: list[str]


def read_found(path: Path) -> Found:
    """All of a file that is right.  Raises ValueError where no run record is, or one of a newer schema."""
    run: Run | None = None
    nodes: list[Node] = []
    rows: list[Row] = []
    faults: list[str] = []
    check = Check()
    with uncollected():
        for number, record in decoded(path, msgspec.json.Decoder(Line)):
            if isinstance(record, Run):
                run = record
            elif isinstance(record, Node):
                nodes.append(record)
            elif fault := record if isinstance(record, str) else check.fault(record, number):
                faults.append(f"{path}, line {number}: {fault}")
            elif not isinstance(record, str):
                rows.append(record)
    known = placed(last_run(path, [run] if run else []), nodes)
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
