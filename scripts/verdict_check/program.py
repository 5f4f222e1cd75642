"""The program itself, run as anyone runs it, with the planted modes at hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from compare.analysis.times import Compared, compared
from compare.results import store
from compare.schema.records import Measurement


class Program:
    """Runs the program and gathers its verdicts; the results of each run stay in ``keep``."""

    def __init__(self, keep: Path, say: Callable[[str], None]) -> None:
        self._keep, self._say = keep, say

    def run(self, name: str, contenders: Iterable[str], *words: str) -> list[Compared]:
        """One run; its comparisons.  Ends everything where the program itself fails."""
        self._say(f"{name}: the program")
        named = [word for each in contenders for word in ("--contender", each)]
        out = self._keep / name.replace(":", "-")
        command = ["-m", "scripts.planted", *named, *words, "--out", str(out)]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr}")
        run, rows = store.read(out / store.RESULTS)
        if bad := [row.contender.name for row in rows if not isinstance(row, Measurement)]:
            self._say(f"{name}: without numbers {', '.join(bad)}")
        return compared(rows, run.settings.same_within)
