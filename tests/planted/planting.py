"""Apply a fault to a copy of the tree, run its tests, and report the outcome."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from tests.planted.faults import Fault

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0
TESTS_FAILED = 1  # pytest's exit code; all others mean that the tests did not run, or passed
PASSED = "pytest ended with 0"
FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
# What turns a test red and is no find: a slow machine, or a fault that is no Python.
NO_FIND = re.compile(r"^E +.*(Timeout \(>|NameError|ImportError|UnboundLocalError|SyntaxError).*$", re.MULTILINE)


class Outcome(NamedTuple):
    """``test``: the first test that turned red; empty where none did, and ``reason`` says what happened instead."""

    fault: Fault
    test: str
    reason: str
    time_s: float


def copy_tree(to: Path) -> Path:
    """The files of the working tree that git does not ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)
    return to


def changed(fault: Fault, tree: Path) -> str:
    """The text of the fault's file with the fault in it.  Raises ValueError where that cannot be."""
    whole = (tree / fault.file).read_text(encoding="utf-8")
    if whole.count(fault.old) != 1:
        raise ValueError(f"{fault.what}: expected {fault.old!r} once in {fault.file}, got {whole.count(fault.old)}")
    text = whole.replace(fault.old, fault.new)
    compile(text, fault.file, "exec")
    return text


def plant(fault: Fault, tree: Path) -> Outcome:
    """Run the fault's tests with the fault in the copy; the copy is whole again afterwards."""
    file, start = tree / fault.file, perf_counter()
    text, whole = changed(fault, tree), file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    try:
        test, reason = run(shlex.split(fault.tests), tree)
    finally:
        file.write_text(whole, encoding="utf-8")
    return Outcome(fault, test, reason, perf_counter() - start)


def run(tests: Sequence[str], tree: Path) -> tuple[str, str]:
    """The first test that fails, or why there is none."""
    # Without bytecode: a file that changes twice in a second may be taken for the one before.
    path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-x", "-n0", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no end within {TIMEOUT_S:g} s"
    failure = FIRST_FAILURE.search(done.stdout)
    if no_find := NO_FIND.search(done.stdout):
        return "", no_find[0]
    if done.returncode == TESTS_FAILED and failure:
        return failure[1], ""
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""]
    return "", f"pytest ended with {done.returncode}: {lines[-1]}"


def passes(test: str, tree: Path) -> bool:
    """Whether a test is green in the whole copy."""
    return run([test], tree)[1].startswith(PASSED)
