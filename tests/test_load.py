"""What else keeps the machine busy is said by the doctor, and fails nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from compare.cli import doctor, main
from compare.machine import load as conditions
from compare.machine.load import Ticks
from compare.worker.protocol import Finding
from tests import run_fake


class Nvml(SimpleNamespace):
    """A GPU that is so busy, in percent, and that processes with so many bytes have open."""

    NVMLError = type("NVMLError", (Exception,), {})

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> SimpleNamespace:  # noqa: N802
        if self.percent is None:
            raise self.NVMLError
        return SimpleNamespace(gpu=self.percent)

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: int) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(usedGpuMemory=each) for each in self.held]


def of_cpus(monkeypatch: pytest.MonkeyPatch, idle: int, stolen: int = 0) -> Finding:
    """Of 1000 ticks so many were idle, and so many given to other machines; none are ours."""
    moments = iter([Ticks(1000, 500, 0, 0), Ticks(2000, 500 + idle, stolen, 0)])
    monkeypatch.setattr(conditions, "ticks", lambda _pids: next(moments))
    monkeypatch.setattr(doctor, "sleep", lambda _s: None)
    return doctor.of_cpus()


def of_gpu(monkeypatch: pytest.MonkeyPatch, percent: int | None, held: Sequence[int | None]) -> Finding:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(percent=percent, held=held))  # type: ignore[arg-type]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(doctor, "sleep", lambda _s: None)
    return doctor.of_gpu()


@pytest.mark.parametrize(
    ("idle", "stolen", "result", "said"),
    [
        (980, 0, "pass", "other processes use 2% of the CPUs"),
        (900, 0, "busy", "other processes used 10% of the CPUs; end them and rerun"),
        (400, 0, "busy", "60% of the CPUs; end them and rerun (a run would withhold its verdicts)"),
        (900, 90, "busy", "the hypervisor gave 9% of the CPU time to other machines; rerun later"),
    ],
)
def test_the_cpus(monkeypatch: pytest.MonkeyPatch, idle: int, stolen: int, result: str, said: str) -> None:
    found = of_cpus(monkeypatch, idle, stolen)
    assert (found.check, found.result) == ("other load", result)
    assert found.text.endswith(said)


def test_cpus_that_tell_nothing_are_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "ticks", lambda _pids: None)
    monkeypatch.setattr(doctor, "sleep", lambda _s: None)
    assert doctor.of_cpus().result == "not applicable"


@pytest.mark.parametrize(
    ("percent", "held", "result", "said"),
    [
        (0, [], "pass", "busy 0% of the time; 0 other processes hold 0.0 GB of it"),
        (40, [], "busy", "busy 40% of the time"),
        (0, [3 * 10**9, None], "busy", "2 other processes hold 3.0 GB of it; end them and rerun"),
        (None, [], "not applicable", "nvidia-ml-py"),
    ],
)
def test_the_gpu(
    monkeypatch: pytest.MonkeyPatch, percent: int | None, held: list[int | None], result: str, said: str
) -> None:
    found = of_gpu(monkeypatch, percent, held)
    assert found.result == result
    assert said in found.text


def test_without_nvml_the_gpu_is_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(doctor, "sleep", lambda _s: None)
    assert doctor.of_gpu().result == "not applicable"


def test_a_busy_machine_is_said_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_fake.register(monkeypatch)
    monkeypatch.setattr(doctor.devices, "has_gpu_node", lambda: False)
    monkeypatch.setattr(doctor, "of_cpus", lambda: Finding(check=doctor.CHECK, result="busy", text="much else runs"))
    assert main.main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "machine cpu other load busy much else runs" in out
    assert "0 failed" in out
    assert "Other load was found" in out
