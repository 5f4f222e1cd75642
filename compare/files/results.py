"""``results.jsonl``: one record a line, appended as soon as it is known, so that nothing finished is ever lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from compare.circumstances import SCHEMA_VERSION, Line, Node, Run
from compare.files.checking import Check
from compare.findings import processes
from compare.records import Row

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
