"""``results.jsonl``: one record a line, appended as soon as it is known; and read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from compare.results import rows as processes
from compare.schema.records import (
    PASSES,
    SCHEMA_VERSION,
    Contender,
    Line,
    Measurement,
    Node,
    Notice,
    PassResult,
    Problem,
    Row,
    Run,
)

Rounds = tuple[int, int]  # of device samples, of wall-clock samples


class Check:
    """Checks rows one after the other; a faulty row is ignored by later checks."""

    def __init__(self) -> None:
        self._stands: dict[tuple[Problem, Contender, int], tuple[int, Row]] = {}
        self._rounds: dict[tuple[Problem, int], tuple[int, set[Rounds]]] = {}

    def fault(self, row: Row, number: int) -> str:
        """What is wrong with a row, alone or with the rows before it; empty for a good one."""
        key = (row.problem, row.contender, row.process)
        if key in self._stands:
            return f"repeats the case of line {self._stands[key][0]}"
        found = self._process(row) if row.process > 1 else ""
        found = found or (self._turns(row, number) if isinstance(row, Measurement) else "")
        if not found:
            self._stands[key] = number, row
        return found

    def _process(self, row: Row) -> str:
        """A later process needs the first one's row, with the same passes."""
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
            return "the number of rounds differs between its passes: they were not measured together"
        if own and not row.alone:
            line, known = self._rounds.setdefault((row.problem, row.process), (number, own))
            if known != own:
                return (
                    f"number of rounds differs from line {line} of the same problem: the two were not measured together"
                )
        return ""


def rounds(result: PassResult) -> Rounds:
    """Number of rounds of a pass: device samples, wall-clock samples."""
    return -(-len(result.device_s) // result.per_round), -(-len(result.wall_s) // result.per_round)


RESULTS = "results.jsonl"
REPORT = "report.md"
LONGEST = "max_seq_len.jsonl"  # what --max-seq-len finds
DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
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
    """The fields that a run record has in every schema."""

    kind: str = ""
    schema_version: int = 0
    program_version: str = ""


class Found(NamedTuple):
    """The contents of a file: a row for each case in each process, and a sentence on each line that was left out."""

    run: Run
    rows: list[Row]
    faults: list[str]


def found(path: Path) -> Found:
    """The undamaged part of a file.  Raises ValueError without a run record, or with one of a newer schema."""
    runs: list[Run] = []
    nodes: dict[str, Node] = {}  # of each the last line is complete
    rows: list[Row] = []
    faults: list[str] = []
    check = Check()
    for number, record in records(path, msgspec.json.Decoder(Line), faults):
        if isinstance(record, Run):
            runs.append(record)
        elif isinstance(record, Node):
            nodes[record.name] = record
        elif fault := check.fault(record, number):
            faults.append(f"{path}, line {number}: {fault}")
        else:
            rows.append(modern(record))
    run = replace(last_run(path, runs, faults), nodes=tuple(nodes.values()))
    return Found(run, sorted(rows, key=lambda row: row.process), faults)


def modern(row: Row) -> Row:
    """A row of schema 4, whose warnings are sentences: the pass that begins some of them gets its field."""
    if not isinstance(row, Measurement) or not any(notice.text for notice in row.warnings):
        return row
    return replace(row, warnings=tuple(map(_with_pass, row.warnings)))


def _with_pass(notice: Notice) -> Notice:
    for name in PASSES:
        if notice.text.startswith(f"{name}: "):
            return replace(notice, pass_name=name, text=notice.text.removeprefix(f"{name}: "))
    return notice


def lines(path: Path) -> tuple[Run, list[Row]]:
    """The run and a row for each case in each process.  Raises ValueError where a line is damaged."""
    run, rows, faults = found(path)
    refuse(faults)
    return run, rows


def read(path: Path) -> tuple[Run, list[Row]]:
    """The run and one row for each case.  Raises ValueError where a line is damaged."""
    run, rows = lines(path)
    return run, processes.joined(rows)


def records(path: Path, decoder: msgspec.json.Decoder[Kind], faults: list[str]) -> Iterator[tuple[int, Kind]]:
    """Each record with the number of its line; a damaged line adds a sentence to ``faults`` instead.

    Raises ValueError where a run record has a newer schema.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            try:
                record = decoder.decode(line)
            except DAMAGED as reason:
                refuse_newer(line, where)
                faults.append(f"{where}: {reason}")
                continue
            if isinstance(record, Run):
                refuse_newer(line, where)
            yield number, record


def refuse(faults: Sequence[str]) -> None:
    """Raise ValueError with the first damaged line, where there is one."""
    if faults:
        raise ValueError(faults[0])


def last_run(path: Path, runs: Sequence[Run], faults: Sequence[str]) -> Run:
    """The run record that counts.  Raises ValueError where there is none, with the first fault, which may be why."""
    if not runs:
        raise ValueError("; ".join([f"{path}: expected a line of kind 'run', got none", *faults[:1]]))
    return runs[-1]


def refuse_newer(line: bytes, where: str) -> None:
    """Raise ValueError where the line is a run record with a newer schema than this program's."""
    try:
        header = msgspec.json.decode(line, type=Header)
    except DAMAGED:
        return
    if header.kind == "run" and header.schema_version > SCHEMA_VERSION:
        raise ValueError(
            f"{where}: schema version {header.schema_version}, written by attention-compare "
            f"{header.program_version[:20]!r}; this one reads 1 to {SCHEMA_VERSION}: use that program or a newer one"
        )
