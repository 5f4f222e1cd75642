"""What the program itself costs: help, quick run, default sweep, and the parent's memory.

    python scripts/overhead.py [--full [--out DIR]]

Runs the real commands with fresh caches and reads the progress lines: sampling time is told apart
from everything else (start, compile, warm-up, oracle, memory, report).  ``--full`` adds the default sweep.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

HELP_RUNS = 9
STAGES = {"first calls": "compile and warm up", "numbers": "oracle", "resident": "resident memory", "round": "sampling"}


def seconds_of(*command: str) -> float:
    """Wall time of a command, the median of a few runs."""
    times = []
    for _ in range(HELP_RUNS):
        start = perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        times.append(perf_counter() - start)
    return median(times)


def peak_bytes(pid: int) -> int:
    """High-water mark of a live process's resident memory; 0 once it has gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def stage_of(line: str) -> str | None:
    """The stage that a progress line begins, if it begins one."""
    if not re.match(r"\d+ s \[", line):
        return "start and report" if line.startswith(("B=", "date")) else None
    return next((name for word, name in STAGES.items() if f": {word}" in line or f" {word}" in line), None)


def watch(*options: str, out: str | None) -> tuple[Counter[str], int]:
    """Run the program; seconds per stage, and the parent's peak memory in bytes."""
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "compare", *options, "--out", out or f"{folder}/out"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=dict(os.environ) | {"COLUMNS": "400"}
        )
        stage, since, highest = "start and report", perf_counter(), 0
        for line in process.stdout or ():
            highest = max(highest, peak_bytes(process.pid))
            following = stage_of(line)
            if following and following != stage:
                now = perf_counter()
                spent[stage] += now - since
                stage, since = following, now
        process.wait()
        spent[stage] += perf_counter() - since
    return spent, highest


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the default sweep too (minutes)")
    parser.add_argument("--out", help="where the default sweep's results stay (default: nowhere)")
    options = parser.parse_args()
    console = Console()
    bare, shown = seconds_of("-c", "pass"), seconds_of("-m", "compare", "--help")
    console.print(f"--help {shown:.3f} s, bare interpreter {bare:.3f} s: {shown - 2 * bare:.3f} s above twice that")
    for name, arguments in {"--quick": ["--quick"], "default": []}.items():
        if name == "default" and not options.full:
            continue
        spent, highest = watch(*arguments, out=options.out if name == "default" else None)
        table = Table("stage", "seconds", title=f"{name}: {sum(spent.values()):.0f} s, parent {highest / 1e6:.0f} MB")
        for stage, seconds in spent.most_common():
            table.add_row(stage, f"{seconds:.1f}")
        table.add_row("all but sampling", f"{sum(spent.values()) - spent['sampling']:.1f}")
        console.print(table)


if __name__ == "__main__":
    main()
