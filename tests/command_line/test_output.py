"""Where output goes nowhere: an exit code that means nothing else, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "h100" / "bfloat16"
COMMANDS = [["diff", str(RESULTS), str(RESULTS)], ["select", str(RESULTS)], ["report", str(RESULTS)], ["--list"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_reader_who_had_enough_is_no_failure_of_what_was_asked(words: list[str]) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "compare", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert running.stdout
    running.stdout.close()
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (141, b"")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "compare", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == b"compare: error: the output cannot be written: No space left on device\n"


def test_a_closed_output_is_no_failure() -> None:
    command = f'"{sys.executable}" -m compare report "{RESULTS}" --format csv >&-'
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, cwd=ROOT, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
