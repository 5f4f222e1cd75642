"""A long sweep over a real Ray cluster of several raylets on this machine, with rows that no worker measured.

python -m scripts.long_sweep [PROBLEMS]

What it shows: no case is lost or written twice, though one raylet is killed in the middle, and the program's resident
memory does not grow with the number of cases.  The rows are as large as real ones; see tests/cluster/hooks.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from unittest.mock import patch

from compare.cli import study
from compare.cli.main import main
from compare.machine.memory import of_process
from compare.results.store import RESULTS, lines
from compare.schema.records import Measurement, Row
from tests.cluster.hooks import fakes, started, variables
from tests.run_fake import arguments

CONTENDERS = 20  # of one problem
PROBLEMS = 500
AGAIN = "once more;"


class Found(NamedTuple):
    """What a sweep left: its exit code, rows and cases, the bytes of its file, resident bytes after each row."""

    code: int
    rows: int
    cases: int
    file_bytes: int
    resident: list[int]


def sweep(cluster: Any, out: Path, problems: int) -> Found:
    """Sweep on the cluster, with one node more, which is killed when half of the rows are written."""
    node = cluster.add_node(num_cpus=2)
    recorded, resident, half = study.Study.recorded, list[int](), problems * CONTENDERS // 2

    def watch(self: study.Study, row: Row) -> None:
        recorded(self, row)
        resident.append(of_process(os.getpid()))
        if len(resident) == half:
            cluster.remove_node(node, allow_graceful=False)

    argv = arguments(out, *["fake:naive"] * CONTENDERS, seq_lens=tuple(range(1, problems + 1)))
    with patch.object(study.Study, "recorded", watch), patch.dict(os.environ, variables("rows_from_nowhere")):
        code = main([*argv, "--executor", "ray", "--address", cluster.address])
    rows = [row for row in lines(out / RESULTS)[1] if isinstance(row, Measurement)]
    cases = {(row.problem, row.contender) for row in rows}
    return Found(code, len(rows), len(cases), (out / RESULTS).stat().st_size, resident)


def show(found: Found, took_s: float) -> None:
    """The numbers, and how memory went."""
    print(f"exit code {found.code}; {found.rows} rows of {found.cases} cases in {took_s:.0f} s, report included")
    print(f"results file: {found.file_bytes / 1e6:.1f} MB")
    for at in range(len(found.resident) // 5, len(found.resident) + 1, len(found.resident) // 5):
        print(f"resident after {at} cases: {found.resident[at - 1] / 1e6:.1f} MB")


if __name__ == "__main__":
    fakes()
    with tempfile.TemporaryDirectory() as folder:
        begin = perf_counter()
        with started(nodes=2) as cluster, (Path(folder) / "said").open("w") as said, redirect_stdout(said):
            found = sweep(cluster, Path(folder) / "out", int(sys.argv[1]) if len(sys.argv) > 1 else PROBLEMS)
        show(found, perf_counter() - begin)
        print(f"problems lost with the raylet and measured again: {(Path(folder) / 'said').read_text().count(AGAIN)}")
