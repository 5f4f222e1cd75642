"""The real thing on two processes: rows that agree, and devices that die, hang or fail alone, one row each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec.structs import replace

from compare.backends import BACKENDS
from compare.cli import publishing
from compare.cli.main import main
from compare.machine.memory import with_descendants
from compare.measure import rates
from compare.measure.race import Race
from compare.measure.workers import Fleet
from compare.plan.cases import parse_contender
from compare.results import store
from compare.schema.records import Case, Failure, Measurement, Skip
from compare.worker.protocol import Failed, Prepare
from tests import samples
from tests.faults.test_processes import until
from tests.run_fake import no_extras, no_rates

FAULTY = "tests/parallel/faulty.py"
# Those that take their processes down come first: what shares these would be prepared once more.
TORCH = (*(f"torch={FAULTY}:{each}" for each in ("dies", "raises")), "torch:ring", "torch:fused")
JAX = (f"jax={FAULTY}:dies", "jax:ring")
SHAPE = ("--devices", "2", "--heads", "2", "--d-model", "32", "--seq-len", "64", "--batch-size", "2")
LAUNCHERS = [(each.launched(True), each.package) for each in BACKENDS.values()]


def measured(out: Path, *words: str) -> int:
    """The exit code of a run of so many contenders and options, in which XLA compiles fast."""
    named = [option for word in words for option in (("--contender", word) if ":" in word else (word,))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
        patch.setattr(rates, "rated", no_rates)
        patch.setattr(publishing, "installed", no_extras)
        patch.setattr(Race, "_with_warm_costs", lambda _, row: row)  # which compiles all once more
        return main([*named, *SHAPE, "--samples", "6", "--timeout", "120", "--device", "cpu", "--out", str(out)])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Contender's function or variant -> its row."""
    out = tmp_path_factory.mktemp("parallel") / "run"
    assert measured(out, *JAX, *TORCH, "--process-per-device") == 3
    run, found = store.read(out / store.RESULTS)
    assert run.settings.process_per_device
    return {row.contender.variant.split(":")[-1] + row.contender.backend: row for row in found}


@pytest.mark.parametrize("name", ["ringjax", "ringtorch"])
def test_what_runs_agrees_and_has_all_passes(rows: dict[str, object], name: str) -> None:
    row = rows[name]
    assert isinstance(row, Measurement)
    assert row.agreement
    assert row.agreement.agrees
    assert set(row.passes) == {"forward", "backward", "step"}
    assert all(len(each.device_s) >= 6 and min(each.device_s) > 0 for each in row.passes.values())


def test_a_device_holds_its_share_alone(rows: dict[str, object]) -> None:
    """Between the passes the log-sum-exp of half of the positions, and no input; JAX keeps a copy of all."""
    kept = {"ringtorch": 1, "ringjax": 1 + 4 * 16}
    for name, numbers in kept.items():
        row = rows[name]
        assert isinstance(row, Measurement)
        assert row.saved_bytes == numbers * 2 * 32 * 2 * 4


def test_one_process_of_jax_has_both_devices(tmp_path: Path) -> None:
    assert measured(tmp_path / "run", "jax:ring", "--pass", "forward") == 0
    [row] = store.read(tmp_path / "run" / store.RESULTS)[1]
    assert isinstance(row, Measurement)
    assert row.agreement
    assert row.agreement.agrees


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("diestorch", "CRASH", "Signal 9 (SIGKILL) received by PID"),
        ("raisestorch", "ERROR", "device 1 of 2: ValueError: this device has had enough"),
        ("diesjax", "CRASH", "device 1 of 2: its process was killed by SIGKILL"),
    ],
)
def test_a_device_that_fails_is_one_row(rows: dict[str, object], name: str, status: str, reason: str) -> None:
    row = rows[name]
    assert isinstance(row, Failure)
    assert (row.status, row.stage) == (status, "prepare")
    assert reason in row.reason


@pytest.mark.long
def test_a_device_of_jax_that_raises_is_one_row(tmp_path: Path) -> None:
    assert measured(tmp_path / "run", f"jax={FAULTY}:raises", "--process-per-device") == 3
    [row] = store.read(tmp_path / "run" / store.RESULTS)[1]
    assert isinstance(row, Failure)
    assert (row.status, row.stage) == ("ERROR", "prepare")
    assert "device 1 of 2: ValueError: this device has had enough" in row.reason


def test_a_device_that_hangs_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    settings = replace(samples.run().settings, timeout_s=120.0)
    contender = parse_contender(f"torch={FAULTY}:hangs")
    case = Case(problem=samples.problem(64, 16, 2, heads=2, kv_heads=2, devices=2), contender=contender)
    fleet = Fleet(settings, tmp_path, lambda _: None)
    fleet.set_devices(2)
    assert fleet.start(contender) is None
    pids = fleet.pids()
    fleet._settings = replace(settings, timeout_s=2.0)
    request = Prepare(case=case, passes=("forward",), folder=str(tmp_path), warmup_budget_s=1.0)
    reply = fleet.ask(contender, request)
    assert isinstance(reply, Failed)
    assert (reply.status, reply.stage, reply.reason) == ("TIMEOUT", "prepare", "no answer within 2 s (--timeout)")
    assert len(pids) == 3
    until(lambda: not any(map(alive, pids)), "all of them are gone")


def test_what_runs_on_one_device_is_skipped(rows: dict[str, object]) -> None:
    row = rows["fusedtorch"]
    assert isinstance(row, Skip)
    assert row.reason == "runs on one device; 2 devices share allgather, context_parallel, ring, ulysses"


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_no_process_is_left_behind(rows: dict[str, object]) -> None:
    assert rows
    assert not [pid for pid in with_descendants(os.getpid())[1:] if alive(pid)]


@pytest.mark.parametrize("module", ["compare.worker", "tests.parallel.asleep"])
@pytest.mark.parametrize("killed", ["nobody", "launcher", "parent"])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_devices_end_with_their_launcher_and_with_the_parent(
    tmp_path: Path, launcher: tuple[tuple[str, ...], str], killed: str, module: str
) -> None:
    """In the middle of their imports, which take seconds, and where they hang; each is in a session of its own."""
    code = (
        "import os, sys, time; from pathlib import Path; from compare.measure.workers import Launched, WorkerProcess\n"
        f"launched = Launched({launcher[0]!r}, 2, {launcher[1]!r}, Path({str(tmp_path / 'why')!r}))\n"
        f"worker = WorkerProcess(dict(os.environ), Path({str(tmp_path / 'log')!r}), {module!r}, launched=launched)\n"
        "while len(worker.pids) < 3: time.sleep(0.05)\n"
        f"while 'asleep' in {module!r} and not Path({str(tmp_path / 'why.asleep')!r}).exists(): time.sleep(0.05)\n"
        "print(*worker.pids, flush=True)\n"
        "sys.stdin.readline(); worker.stop(); print('stopped', flush=True); sys.stdin.readline()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    if killed == "nobody":
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "stopped\n"
    else:
        os.kill(pids[0] if killed == "launcher" else parent.pid, signal.SIGKILL)
    end = monotonic() + 30
    while any(alive(pid) for pid in pids) and monotonic() < end:
        sleep(0.1)
    left = [pid for pid in pids if alive(pid)]
    parent.kill()
    parent.wait()
    assert not left
