"""Results files that were never measured."""

from __future__ import annotations

from pathlib import Path

from compare.results.store import RESULTS, Log
from compare.schema.records import Line
from tests import samples


def folder(path: Path, *records: Line) -> Path:
    """A folder with a results file; without records that of nine problems with three contenders."""
    path.mkdir()
    log = Log(path / RESULTS)
    for record in records or (samples.run(), *samples.nine_problems()):
        log.append(record)
    return path
