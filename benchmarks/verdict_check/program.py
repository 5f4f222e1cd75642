"""The program, run from its command line, with the planted modes available."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from compare.analysis.times import Compared, compared
from compare.results import store
from compare.schema.records import Measurement


class Program:
    """Runs the program and collects its verdicts; results stay in ``keep``."""

    def __init__(self, keep: Path, say: Callable[[str], None]) -> None:
        self._keep, self._say = keep, say

    def run(self, name: str, contenders: Iterable[str], *words: str) -> list[Compared]:
        """The comparisons of one run.  Exits if the program fails."""
        self._say(f"{name}: the program")
        named = [word for each in contenders for word in ("--contender", each)]
        out = self._keep / name.replace(":", "-")
        command = ["-m", "benchmarks.planted", *named, *words, "--out", str(out)]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr}")
        run, rows = store.read(out / store.RESULTS)
        if bad := [row.contender.name for row in rows if not isinstance(row, Measurement)]:
            self._say(f"{name}: not measured: {', '.join(bad)}")
        return compared(rows, run.settings.same_within)
