"""``results.jsonl``: one record a line, appended as soon as it is known, so that nothing finished is ever lost."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from compare import processes
from compare.circumstances import Line, Node, Run
from compare.records import Row

RESULTS = "results.jsonl"
REPORT = "report.md"


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


def read(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file and a row for each case.  Raises ValueError with the number of a bad line."""
    run, rows = lines(path)
    return run, processes.joined(rows)


def lines(path: Path) -> tuple[Run, list[Row]]:
    """The last run record of a file, with its nodes, and the rows: one for each case in each process."""
    decoder = msgspec.json.Decoder(Line)
    run: Run | None = None
    nodes: dict[str, Node] = {}
    rows: list[Row] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if isinstance(record, Run):
            run = record
        elif isinstance(record, Node):
            nodes[record.name] = record
        else:
            rows.append(record)
    if run is None:
        raise ValueError(f"{path}: expected a line of kind 'run', got none")
    return replace(run, nodes=tuple(nodes.values())), rows
