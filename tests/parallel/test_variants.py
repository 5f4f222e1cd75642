"""ring, allgather and ulysses on several devices are attention; on one they are `fused`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from msgspec.structs import replace

from compare.backends import BACKENDS
from compare.measure import runner
from compare.variants import refusal, sharing
from tests import samples

SHARED = [(name, each) for name in BACKENDS for each in sharing(name)]
ON_CPU = [shared for shared in SHARED if shared[1] != "context_parallel"]
DEVICES = [
    pytest.param(2, id="2"),
    pytest.param(4, id="4", marks=pytest.mark.long),
]


@cache
def outcomes(backend: str, devices: int, few: bool = False, apart: bool = False) -> dict[str, list[str]]:
    """Variant -> its outcomes, by a process of its own, or (``apart``, and by PyTorch always) one for each device."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    launcher = BACKENDS[backend].launched(apart)
    simulated = f"--xla_force_host_platform_device_count={1 if launcher else devices}"
    environment["XLA_FLAGS"] = f"{simulated} --xla_backend_optimization_level=0"
    launched = ["-m", "compare.worker.launcher", *launcher, str(devices)] if launcher else []
    command = [sys.executable, *launched, "-m", "tests.parallel.every", backend, str(devices)]
    command += ["few"] if few else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        variant, colon, outcome = line.partition(": ")
        if colon and (backend, variant) in SHARED:
            found[variant].append(outcome)
    assert done.returncode == 0, done.stderr[-2000:]
    return found


def uneven(devices: int) -> str:
    """What is said of T=46."""
    return f"skip {devices} devices need T to be a multiple of {2 * devices}, got 46"


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize(("backend", "variant"), ON_CPU)
def test_it_is_attention_on_several_devices(backend: str, devices: int, variant: str) -> None:
    refused = f"skip {devices} devices need the key heads to be a multiple of {devices}, got 2"
    few_heads = refused if variant == "ulysses" and devices == 4 else "ok"
    assert outcomes(backend, devices)[variant] == ["ok", "ok", "ok", uneven(devices), few_heads]


@pytest.mark.parametrize(("backend", "variant"), ON_CPU)
def test_it_is_attention_on_four_devices_in_two_problems(backend: str, variant: str) -> None:
    assert outcomes(backend, 4, few=True)[variant] == ["ok", "ok", uneven(4)]


@pytest.mark.parametrize("variant", ["ring", "allgather", "ulysses"])
@pytest.mark.parametrize("devices", DEVICES)
def test_it_is_attention_on_several_processes_of_jax(devices: int, variant: str) -> None:
    assert outcomes("jax", devices, few=True, apart=True)[variant] == ["ok", "ok", uneven(devices)]


def test_heads_that_four_devices_cannot_share_are_refused_before_anything_is_compiled() -> None:
    two = samples.problem(q_len=48, kv_len=48, heads=4, kv_heads=2, devices=4)
    said = "4 devices need the key heads to be a multiple of 4, got 2"
    assert [refusal(two, "jax", variant) for variant in ("ring", "allgather", "ulysses")] == ["", "", said]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ulysses_refuses_such_heads_itself_when_it_is_called(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = BACKENDS[backend].package
    monkeypatch.setattr(import_module(f"{package}.sequence"), "devices", lambda: 4)
    adapter = import_module(f"{package}.adapter").Adapter("cpu", 1)
    q, k = (adapter.put(np.ones((1, 8, heads, 8), np.float32), "float32") for heads in (4, 2))
    with pytest.raises(NotImplementedError, match="4 devices need the key heads to be a multiple of 4, got 2"):
        import_module(f"{package}.variants.ulysses").attention(q, k, k, mask="full")


@pytest.mark.parametrize(("backend", "variant"), ON_CPU)
def test_on_one_device_it_is_fused(backend: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = BACKENDS[backend].package
    fused = import_module(f"{package}.variants.fused")
    monkeypatch.setattr(fused, "attention", lambda *arrays, **how: (len(arrays), how))
    q, k = np.ones((1, 4, 2, 8), np.float32), np.ones((1, 4, 1, 8), np.float32)
    found = import_module(f"{package}.variants.{variant}").attention(q, k, k, mask="full", scale=2.0)
    assert found == (3, {"mask": "full", "scale": 2.0})


@pytest.mark.parametrize("devices", DEVICES)
def test_pytorchs_own_is_refused_without_gpus_and_where_the_ring_is(devices: int) -> None:
    *shared, uneven, few_heads = outcomes("torch", devices)["context_parallel"]
    assert {*shared, few_heads} == {"skip context_parallel: needs NVIDIA GPUs"}
    assert uneven == outcomes("torch", devices)["ring"][-2]


@pytest.mark.parametrize(
    ("variant", "heads", "devices", "reason"),
    [
        ("ulysses", 3, 2, "2 devices need the query heads to be a multiple of 2, got 3"),
        ("ring", 3, 2, ""),
        ("naive", 3, 2, "runs on one device; 2 devices share allgather, ring, ulysses"),
        ("ring", 3, 1, "on one device this is jax:fused:jit, which is measured here"),
    ],
)
def test_what_several_devices_cannot_share_needs_nobody_to_be_asked(
    variant: str, heads: int, devices: int, reason: str
) -> None:
    where = samples.problem(64, heads=heads, kv_heads=heads, mask="causal", devices=devices)
    fused = replace(samples.JAX, variant="fused")
    assert runner.known(where, replace(samples.JAX, variant=variant), (fused,)) == reason
