"""Golden tables: the expected output of ``report --format csv`` for every committed results file.

``python -m tests.golden`` writes missing tables.  If a number should change, delete its table and run the command
again.  Explain the change in the commit message.
"""

from __future__ import annotations

import csv
from math import isclose
from pathlib import Path

from compare.cli.main import main
from compare.results.store import RESULTS

HERE = Path(__file__).resolve().parent
STUDIES = HERE.parents[1] / "results"
SAME = 1e-12  # relative: exp and log may differ in the last place between machines

Lines = list[dict[str, str]]


def studies() -> list[str]:
    """Every folder with results, as a path below ``results/``."""
    return sorted(file.parent.relative_to(STUDIES).as_posix() for file in STUDIES.rglob(RESULTS))


def kept(study: str) -> Path:
    """Where the golden table of a study is."""
    return HERE / f"{study.replace('/', '-')}.csv"


def write(study: str, folder: Path) -> Path:
    """Write the table of a study as the tree makes it now into an empty folder; returns its file."""
    assert main(["report", str(STUDIES / study), "--format", "csv", "-o", str(folder)]) == 0
    return folder / "report.csv"


def read(file: Path) -> Lines:
    """A table, column by column of each line."""
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text, strict=True))


def differences(golden: Lines, now: Lines) -> list[str]:
    """Every cell that is not what it was; a new column is no difference, a new line is."""
    found = [] if len(golden) == len(now) else [f"{len(golden)} lines became {len(now)}"]
    for number, (before, after) in enumerate(zip(golden, now, strict=False), 2):
        found += [
            f"line {number}, {name}: {value!r} became {after.get(name)!r}"
            for name, value in before.items()
            if not same(value, after.get(name))
        ]
    return found


def same(one: str, other: str | None) -> bool:
    """Whether two cells say the same: equal texts, or numbers that differ by rounding alone."""
    if one == other or other is None:
        return one == other
    try:
        return isclose(float(one), float(other), rel_tol=SAME)
    except ValueError:
        return False
