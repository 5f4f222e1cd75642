"""JAX's processes, one for each device: where they meet, what they say to each other, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compare.worker import __main__ as worker
from compare.worker.protocol import Start, Started

# Together one line is written, as the processes share what they print to.
MEETING = """
import sys
sys.modules["torch"] = None
from jax_attn.devices import Devices
from jax_attn.team import Team
team = Team()
found = [team.rank, team.size, team.tell(b"to all" if team.rank == 0 else None), team.collect(b"%d" % team.rank)]
if team.rank == 0:
    try:
        team.collect(b"nobody else says this", 0.2)
    except TimeoutError:
        found += ["too late"]
found += [Devices("cpu", 2).slowest(1.5 * team.rank)]
sys.stdout.write(f"{found}\\n")
"""
PLACES = """
import os, sys
names = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_LOCAL_DEVICE_IDS", "https_proxy"
sys.stdout.write(" ".join(map(str, map(os.environ.get, names))) + "\\n")
"""
SECOND_FAILS = "import os, sys, time; time.sleep(300) if os.environ['JAX_PROCESS_ID'] == '0' else sys.exit(3)"


def launched(code: str) -> tuple[list[str], str, int]:
    """The lines that two processes print, in order, the last one that their launcher logs, and its exit code."""
    command = [sys.executable, "-m", "jax_attn.launcher", "2", "-c", code]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    logged = done.stderr.splitlines()
    return sorted(done.stdout.splitlines()), logged[-1] if logged else "", done.returncode


def test_each_process_is_told_where_they_meet_and_which_it_is() -> None:
    lines, logged, code = launched(PLACES)
    first, second = (line.split() for line in lines)
    assert first[0] == second[0]
    assert first[0].startswith("127.0.0.1:")
    assert (first[1:], second[1:]) == (["2", "0", "0", "None"], ["2", "1", "1", "None"])
    assert (logged, code) == ("", 0)


def test_one_that_fails_ends_the_others_and_is_named() -> None:
    assert launched(SECOND_FAILS) == ([], "device 1 of 2: its process exited with code 3", 1)


def test_they_hear_each_other_without_torch() -> None:
    lines, logged, code = launched(MEETING)
    heard = "b'to all', [b'0', b'1']"
    ours = [line for line in lines if line.startswith("[") and "Gloo" not in line]
    assert ours == [f"[0, 2, {heard}, 'too late', 1.5]", f"[1, 2, {heard}, 1.5]"], logged
    assert code == 0


def test_fewer_gpus_than_processes_are_counted_before_one_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = import_module("jax_attn.devices")
    monkeypatch.setattr(devices, "cuda_versions", SimpleNamespace(cuda_device_count=lambda: 2))
    monkeypatch.setattr(import_module("jax").distributed, "is_initialized", lambda: True)
    with pytest.raises(NotImplementedError, match="needs 4 devices, found 2"):
        devices.Devices("gpu", 4)


def test_what_processes_import_before_they_meet_counts_as_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, served = [0.0], []

    def slowly(name: str) -> Any:
        clock[0] += 7
        return SimpleNamespace(Team=lambda: SimpleNamespace(rank=1))

    monkeypatch.setattr(worker, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(worker, "import_module", slowly)
    monkeypatch.setattr(worker, "pin", lambda threads, place: None)
    monkeypatch.setattr(worker.ranks, "serve", lambda channel, found, team, failure_path: served.append(found))
    worker.one_of_several(Path("why"), "tests.fake_attn")
    [second] = served
    reply = second.answer(Start(backend="fake", package="tests.fake_attn", python="", device="cpu", threads=1))
    assert isinstance(reply, Started)
    assert reply.report.import_s == 14
