"""The program on the fake backend alone, ``python -m tests.run_fake``, and helpers for the tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compare.backends import BACKENDS, Backend
from compare.cli import publishing
from compare.cli.main import main
from compare.machine import load
from compare.measure import rates, verification
from compare.results.store import RESULTS, read
from compare.schema.records import Failure, Measurement, Row, Run
from compare.verify import process
from tests.fake_attn.adapter import WORKERS

FAKE = Backend("NumPy", "tests.fake_attn", ("numpy",), ("eager",), ("eager",), "comes with the tests")
FAKES = {"fake": FAKE, "fake2": FAKE}
MARK = "FAKE_MARK"  # in the environment of everything that one test starts
GOOD = ("fake:naive:eager", "fake:slow:eager", "fake2:naive:eager")
SMALL = ("--batch-size", "2", "--d-model", "8", "--samples", "6", "--device", "cpu", "--timeout", "60")


def register(patch: Any) -> None:
    """Put the fakes in the place of the real backends, whose rates are not asked for, as long as the patch lasts."""
    patch.setattr(rates, "rated", no_rates)
    patch.setattr(publishing, "installed", no_extras)
    patch.setattr(verification, "WorkerProcess", VerifierHere)
    patch.setattr(load, "ticks", no_ticks)
    for name in reversed(list(BACKENDS)):  # undone last first, which restores the order
        patch.delitem(BACKENDS, name)
    for name, entry in FAKES.items():
        patch.setitem(BACKENDS, name, entry)


class VerifierHere:
    """Verifies in this process: a process of its own for each problem takes longer than all else in a small run."""

    def __init__(self, *_: object, **__: object) -> None:
        """Nothing is started."""

    def ask(self, request: process.Verify, timeout_s: float) -> Any:
        """The verdicts."""
        return process.verify(request)

    def stop(self) -> None:
        """Nothing is there to stop."""


def no_rates(*_: object) -> tuple[()]:
    """Most tests need no roofline, and start no process to measure one."""
    return ()


def no_ticks(_: object) -> None:
    """Other tests run beside, and on a busy machine there are no verdicts."""


def no_extras(_: str) -> bool:
    """Most tests need no pictures, and drawing them takes seconds."""
    return False


def arguments(out: Path, *contenders: str, seq_lens: tuple[int, ...] = (16,)) -> list[str]:
    """The command line of a small run."""
    named = [word for contender in contenders for word in ("--contender", contender)]
    return [*named, "--out", str(out), "--seq-len", *map(str, seq_lens), *SMALL]


def rows_of(out: Path) -> list[Row]:
    """The rows of a run."""
    return read(out / RESULTS)[1]


def run_of(out: Path) -> Run:
    """The run record of a run."""
    return read(out / RESULTS)[0]


def row(out: Path, contender: str, seq_len: int | None = None) -> Any:
    """The one row of a contender."""
    [found] = [
        each
        for each in rows_of(out)
        if each.contender.name == contender and (seq_len is None or each.problem.q_len == seq_len)
    ]
    return found


def outcome(row: Row) -> str:
    """A row in one word."""
    if isinstance(row, Measurement):
        return "ok" if row.agreement and row.agreement.agrees else "wrong"
    return row.status if isinstance(row, Failure) else "skip"


def outcomes(out: Path) -> dict[tuple[str, int], str]:
    """``(contender, seq_len)`` -> outcome, of a whole run."""
    return {(each.contender.name, each.problem.q_len): outcome(each) for each in rows_of(out)}


def survivors(out: Path, *gone: str) -> None:
    """All other contenders have good rows at both problems."""
    found = outcomes(out)
    assert {key: found[key] for key in found if key[0] not in gone} == {
        (name, seq_len): "ok" for name in GOOD for seq_len in (8, 16)
    }


def started_workers(tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder that holds one file for each worker that was ever started."""
    folder = tmp_path / "workers"
    folder.mkdir()
    monkeypatch.setenv(WORKERS, str(folder))
    return folder


def marked(mark: str) -> set[int]:
    """Living processes, other than this one, that started with the mark in their environment."""
    return {pid for pid, variables in environments() if f"{MARK}={mark}".encode() in variables} - {os.getpid()}


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Process ids with their environments; a zombie has none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs without one
    BACKENDS.clear()
    BACKENDS.update(FAKES)
    rates.rated = no_rates  # type: ignore[assignment]
    publishing.installed = no_extras
    verification.WorkerProcess = VerifierHere  # type: ignore[assignment, misc]
    load.ticks = no_ticks  # type: ignore[assignment]
    sys.exit(main())
