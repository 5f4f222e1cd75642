"""Bad input ends with one line and exit code 2 before anything is measured."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from compare.cli import options
from compare.plan import devices
from tests.command_line.typed import SMALL, environment, refusal
from tests.planned import parse

# What is typed, and words that the one line must hold: what is possible.
BAD: dict[str, tuple[str, list[str]]] = {
    "backend": ("--backend tensorflow", ["--backend", "both", "jax", "torch"]),
    "variant": ("--variant magic", ["naive", "'magic'"]),
    "variant of one backend": ("--backend jax --variant magic", ["naive", "'magic'"]),
    "mode": ("--mode jitter", ["--mode", "eager", "compile"]),
    "mask": ("--mask diagonal", ["full", "causal", "window:W", "strided:L"]),
    "mask size": ("--mask window:0", ["window:W", "from 1"]),
    "mask size beyond 32 bits": (f"--mask window:{2**31}", [f"'window:{2**31}'"]),
    "mask size beyond 64 bits": (f"--mask strided:{2**63}", [f"'strided:{2**63}'"]),
    "dtype": ("--dtype float64", ["float32", "bfloat16", "float16"]),
    "precision": ("--matmul-precision high", ["ieee", "tf32", "default"]),
    "pass": ("--pass sideways", ["forward", "backward", "step"]),
    "device": ("--device tpu", ["cpu", "gpu"]),
    "malloc": ("--malloc mine", ["recycle", "system"]),
    "contender without a variant": ("--contender jax", ["backend:variant[:mode]", "'jax'"]),
    "contender's backend": ("--contender numpy:naive", ["jax", "torch", "'numpy:naive'"]),
    "contender's variant": ("--contender jax:magic", ["naive", "'magic'"]),
    "contender's mode": ("--contender torch:naive:jit", ["eager", "compile", "'jit'"]),
    "contender with too many parts": ("--contender jax:naive:jit:now", ["backend:variant[:mode]"]),
    "second contender": ("--contender jax:naive --contender torch:", ["naive", "'torch:'"]),
    "zero": ("--seq-len 0", ["--seq-len", "from 1", "'0'"]),
    "negative": ("--batch-size -4", ["--batch-size", "from 1", "'-4'"]),
    "one of several": ("--d-model 16 0 32", ["--d-model", "from 1", "'0'"]),
    "absurd": ("--seq-len 999999999999", ["--seq-len", "to 16777216"]),
    "fraction": ("--d-model 16.5", ["--d-model", "whole number", "'16.5'"]),
    "no number": ("--heads many", ["--heads", "whole number", "'many'"]),
    "no value": ("--seq-len", ["--seq-len", "expected at least one argument"]),
    "thousands of digits": ("--seq-len " + "9" * 5000, ["--seq-len", "to 16777216"]),
    "zero kv-len": ("--kv-len 0", ["--kv-len", "from 1"]),
    "zero heads": ("--heads 0", ["--heads", "from 1"]),
    "zero kv-heads": ("--kv-heads 0", ["--kv-heads", "from 1"]),
    "negative seed": ("--seed -1", ["--seed", "from 0"]),
    "kv-heads": ("--heads 4 --kv-heads 3 --d-model 16", ["--heads 4", "--kv-heads 3", "multiple"]),
    "d_model": ("--heads 3 --d-model 16", ["--d-model 16", "--heads 3", "multiple"]),
    "more heads than d_model": ("--heads 32 --d-model 16", ["--d-model 16", "--heads 32", "multiple"]),
    "query without a key": ("--mask window:4 --seq-len 16 --kv-len 8", ["window", "query 11 sees none"]),
    "five samples": ("--samples 5", ["--samples", "from 6", "'5'"]),
    "no budget": ("--budget 0", ["--budget", "above 0"]),
    "budget that is no number": ("--budget nan", ["--budget", "above 0"]),
    "endless timeout": ("--timeout inf", ["--timeout", "'inf'"]),
    "zero threads": ("--threads 0", ["--threads", "from 1"]),
    "graph on a CPU": ("--device cpu --mode eager graph", ["torch:naive:graph", "needs a GPU", "eager, compile"]),
    "tf32 on a CPU": ("--device cpu --matmul-precision tf32", ["tf32", "ieee", "default"]),
    "zero devices": ("--devices 0", ["--devices", "from 1"]),
    "many simulated devices": ("--device cpu --devices 2 64", ["--devices 64", "up to 16"]),
    "longest sequence of devices": ("--devices 2 --max-seq-len", ["--max-seq-len", "--devices"]),
    "cold caches of devices": ("--devices 1 2 --cache cold", ["--cache cold", "--devices"]),
    "processes of one device": ("--process-per-device", ["--process-per-device", "--devices N"]),
    "processes that are there anyway": (
        "--backend torch --variant ring --devices 2 --process-per-device",
        ["--process-per-device", "torch always has one per device"],
    ),
    "executor": ("--executor slurm", ["--executor", "local", "ray"]),
    "address without an executor": ("--address head:6379", ["--address", "--executor ray"]),
    "address that is none": ("--executor ray --address head", ["--address", "HOST:PORT", "auto", "'head'"]),
    "longest sequence of a cluster": ("--executor ray --max-seq-len", ["--max-seq-len", "--executor ray"]),
    "dry run of a cluster": ("--executor ray --dry-run", ["--dry-run", "--executor ray"]),
    "option": ("--sequence 4", ["--sequence"]),
    "stray word": ("naive", ["naive"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_that_names_what_is_possible(capsys: pytest.CaptureFixture[str], name: str) -> None:
    argv, words = BAD[name]
    line = refusal(capsys, argv.split())
    assert [word for word in words if word not in line] == []


def test_more_threads_than_cpus(capsys: pytest.CaptureFixture[str]) -> None:
    available = devices.cpu_threads()
    line = refusal(capsys, [*SMALL, "--threads", str(available + 1)])
    assert f"--threads {available + 1}" in line
    assert f"possible: 1 to {available}" in line


def test_a_cluster_without_ray(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    line = refusal(capsys, ["--executor", "ray"])
    assert all(word in line for word in ("--executor ray", "not installed", "pip install '.[ray]'"))


def test_a_cluster_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    line = refusal(capsys, ["--executor", "ray", "--address", address])
    assert f"--address {address}: no Ray cluster answers" in line


def test_a_gpu_where_there_is_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu_node", lambda: False)
    line = refusal(capsys, ["--device", "gpu"])
    assert all(word in line for word in ("--device gpu", "jax and torch", "possible: cpu"))


def test_a_gpu_that_one_framework_cannot_open(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_gpu_node", lambda: True)
    monkeypatch.setattr(devices, "blind_backends", lambda found: [each.home for each in found if each.backend == "jax"])
    line = refusal(capsys, ["--device", "gpu"])
    assert "--device gpu: jax cannot open a GPU; possible: cpu" in line


def test_out_that_is_not_empty(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "notes").write_text("mine")
    line = refusal(capsys, [*SMALL, "--out", "kept"])
    assert "kept: expected a new or empty folder" in line
    assert (folder / "kept" / "notes").read_text() == "mine"


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_out_at_or_under_a_file(capsys: pytest.CaptureFixture[str], folder: Path, out: str) -> None:
    (folder / "file").write_text("")
    assert f"--out {out}: " in refusal(capsys, [*SMALL, "--out", out])


def test_out_with_a_name_that_no_file_system_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out " in refusal(capsys, [*SMALL, "--out", "x" * 300])


@pytest.mark.parametrize(
    "argv",
    [["--seq-len", "0"], ["--contender", "jax:magic"], ["--heads", "3", "--d-model", "16"]],
    ids=["parsing", "naming", "planning"],
)
def test_bad_input_to_the_real_program(folder: Path, argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compare", *argv], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SystemExit) as end:
        parse([*SMALL, "--backend", "jax", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "Permission denied" in capsys.readouterr().err
