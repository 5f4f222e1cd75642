"""ring, allgather and ulysses on several devices are attention, and a fault planted in them is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from functools import cache

import pytest

from compare.backends import BACKENDS, SEQUENCE_PARALLEL, variants

SHARED = [(name, each) for name in BACKENDS for each in SEQUENCE_PARALLEL if each in variants(name)]
ON_CPU = [shared for shared in SHARED if shared[1] != "context_parallel"]
FAULTS = {
    "stale": {"ring": True, "allgather": False, "ulysses": False},
    "stale gradients": {"ring": True, "allgather": False, "ulysses": False},
    "owner": {"ring": True, "allgather": True, "ulysses": False},
    "order": {"ring": False, "allgather": False, "ulysses": True},
    "merge": {"ring": True, "allgather": True, "ulysses": False},
}


@cache
def outcomes(backend: str, devices: int, fault: str = "", apart: bool = False) -> dict[str, list[str]]:
    """Variant -> its outcomes, by a process of its own, or (``apart``, and by PyTorch always) one for each device."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    launcher = BACKENDS[backend].launched(apart)
    simulated = f"--xla_force_host_platform_device_count={1 if launcher else devices}"
    environment["XLA_FLAGS"] = f"{simulated} --xla_backend_optimization_level=0"
    launched = ["-m", "compare.worker.launcher", *launcher, str(devices)] if launcher else []
    command = [sys.executable, *launched, "-m", "tests.parallel.every", backend, str(devices)]
    command += [fault] if fault else ["few"] if apart else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        variant, colon, outcome = line.partition(": ")
        if colon and variant in SEQUENCE_PARALLEL:
            found[variant].append(outcome)
    assert done.returncode == 0, done.stderr[-2000:]
    return found


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize(("backend", "variant"), ON_CPU)
def test_it_is_attention_on_several_devices(backend: str, devices: int, variant: str) -> None:
    *shared, uneven, few_heads = outcomes(backend, devices)[variant]
    assert shared == ["ok"] * 3
    uneven_refused = f"skip {devices} devices need T to be a multiple of {2 * devices}, got 46"
    assert uneven == (uneven_refused if devices > 1 else "ok")
    refused = f"skip {devices} devices need the key heads to be a multiple of {devices}, got 2"
    assert few_heads == (refused if variant == "ulysses" and devices == 4 else "ok")


@pytest.mark.parametrize("variant", FAULTS["stale"])
@pytest.mark.parametrize("devices", [2, 4])
def test_it_is_attention_on_several_processes_of_jax(devices: int, variant: str) -> None:
    assert outcomes("jax", devices, apart=True)[variant] == ["ok"] * (4 // devices)


def test_a_fault_planted_in_several_processes_of_jax_is_found() -> None:
    found = outcomes("jax", 2, "stale", apart=True)
    assert {variant: "WRONG" in "".join(found[variant]) for variant in FAULTS["stale"]} == FAULTS["stale"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_planted_fault_is_found(backend: str, fault: str) -> None:
    found = outcomes(backend, 2, fault)
    assert {variant: "WRONG" in "".join(found[variant]) for name, variant in ON_CPU if name == backend} == FAULTS[fault]


@pytest.mark.parametrize("devices", [2, 4])
def test_pytorchs_own_is_refused_without_gpus_and_where_the_ring_is(devices: int) -> None:
    *shared, uneven, few_heads = outcomes("torch", devices)["context_parallel"]
    assert {*shared, few_heads} == {"skip context_parallel: needs NVIDIA GPUs"}
    assert uneven == outcomes("torch", devices)["ring"][-2]
