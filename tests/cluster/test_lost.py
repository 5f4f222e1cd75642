"""Interrupts, and raylets that are killed in mid-run: nothing that was finished is lost, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compare.machine.memory import with_descendants
from compare.results.store import REPORT
from compare.schema.records import Failure
from tests.cluster.conftest import on
from tests.cluster.hooks import ROOT
from tests.faults.test_processes import until
from tests.run_fake import arguments, outcomes, row, run_of

NAMES = ("fake:naive", "fake2:hangs_on_demand")  # from T=16 on
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(cluster: Any, marks: Path, out: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the program in a process of its own; no worker that ever hung is left in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def program(*lengths: int, contenders: tuple[str, ...] = NAMES) -> subprocess.Popen[bytes]:
        argv = [*arguments(out, *contenders, seq_lens=lengths), *on(cluster)]
        with (tmp_path / "said").open("wb") as said:
            command = [sys.executable, "-m", "tests.run_fake", *argv]
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said))
        return started[-1]

    (marks / "hang").touch()
    yield program
    for each in started:
        each.kill()
        each.wait()
    hung = {int(path.name.removeprefix("hung-")) for path in marks.glob("hung-*")}
    for path in marks.glob("h[au]ng*"):
        path.unlink()
    try:
        until(lambda: not any(map(alive, hung)), "those that hung are gone")
    finally:
        for pid in filter(alive, hung):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def hanging(marks: Path) -> int | None:
    """The worker that hangs now."""
    pids = [int(path.name.removeprefix("hung-")) for path in marks.glob("hung-*")]
    return next(filter(alive, pids), None)


def kill_node(cluster: Any, worker: int) -> None:
    """Kill the raylet below which a worker runs, and put a new node in its place."""

    raylets = {node: node.all_processes["raylet"][0].process for node in cluster.worker_nodes}
    [victim] = [node for node, raylet in raylets.items() if worker in with_descendants(raylet.pid)]
    raylets[victim].kill()
    raylets[victim].wait()  # or it seems to live on
    until(lambda: not alive(worker), "the worker has gone with its node")
    victim.kill_all_processes(check_alive=False, allow_graceful=False)  # cluster.remove_node waits until all know it
    cluster.worker_nodes.remove(victim)
    cluster.add_node(num_cpus=2, num_gpus=1)


@pytest.mark.long
def test_a_lost_problem_is_measured_elsewhere(
    cluster: Any, marks: Path, out: Path, tmp_path: Path, start: Start
) -> None:
    program = start(8, 16, 20)
    until(lambda: hanging(marks), "a worker hangs")
    (marks / "hang").unlink()
    kill_node(cluster, hanging(marks) or 0)
    assert program.wait(60) == 0
    assert outcomes(out) == {(f"{name}:eager", length): "ok" for name in NAMES for length in (8, 16, 20)}
    assert "retrying" in (tmp_path / "said").read_text()


@pytest.mark.long
def test_what_is_lost_twice_becomes_rows_with_the_reason(cluster: Any, marks: Path, out: Path, start: Start) -> None:
    program = start(8, 16)
    for _ in range(2):
        until(lambda: hanging(marks), "a worker hangs")
        kill_node(cluster, hanging(marks) or 0)
    assert program.wait(60) == 3
    ok = {(f"{name}:eager", 8): "ok" for name in NAMES}
    assert outcomes(out) == ok | {(f"{name}:eager", 16): "CRASH" for name in NAMES}
    lost: Failure = row(out, "fake:naive:eager", 16)
    assert (lost.stage, lost.reason[:12]) == ("node", "lost 2 times")
    assert lost.node


def test_an_interrupt_keeps_the_finished_problems(marks: Path, out: Path, tmp_path: Path, start: Start) -> None:
    before = set(marks.glob("compare-*"))  # where nodes have their temporary files; killed ones left theirs
    program = start(8, 16)
    until(lambda: hanging(marks) and "1 done" in (tmp_path / "said").read_text(), "it hangs")
    variables = set(Path(f"/proc/{hanging(marks)}/environ").read_text().split("\0"))
    fair = {f"{name}={value}" for name, value in run_of(out).environment["set"].items() if "<run>" not in value}
    assert {"OMP_NUM_THREADS=2", "CUDA_VISIBLE_DEVICES="} <= fair <= variables
    program.send_signal(signal.SIGINT)
    assert program.wait(30) == 130
    assert outcomes(out) == {(f"{name}:eager", 8): "ok" for name in NAMES}
    assert (out / REPORT).exists()
    said = (tmp_path / "said").read_text()
    assert "interrupted" in said
    assert "Traceback" not in said
    until(lambda: set(marks.glob("compare-*")) <= before, "the nodes' temporary files are gone")
    assert hanging(marks) is None


def test_when_the_program_is_killed_its_workers_end(marks: Path, start: Start) -> None:
    program = start(16)
    until(lambda: hanging(marks), "a worker hangs")
    program.kill()
    until(lambda: hanging(marks) is None, "it is gone")
