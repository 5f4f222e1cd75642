"""``results.jsonl``: one record a line, appended as soon as it is known, so that nothing finished is ever lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from compare import processes
from compare.circumstances import Line, Run
from compare.records import Row

RESULTS = "results.jsonl"
REPORT = "report.md"
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


def read(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file and a row for each case.  Raises ValueError with the number of a bad line."""
    run, rows = lines(path)
    return run, processes.joined(rows)


def lines(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file and the rows as they stand: one for each case in each process."""
    decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
    records = decoded(path, decoder)
    return last_run(path, records), [record for record in records if not isinstance(record, Run)]


def decoded(path: Path, decoder: msgspec.json.Decoder[Kind]) -> list[Kind]:
    """Every record of a file.  Raises ValueError with the number of a bad line."""
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return records


def last_run(path: Path, records: Sequence[object]) -> Run:
    """The run record that counts.  Raises ValueError where there is none."""
    runs = [record for record in records if isinstance(record, Run)]
    if not runs:
        raise ValueError(f"{path}: expected a line of kind 'run', got none")
    return runs[-1]
