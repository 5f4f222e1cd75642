"""A program for the tests: every shared variant of one backend on some devices, held to the oracle.

    python -m tests.parallel.every jax 4 [few]

A launcher starts it in several processes.  Prints a line ``variant: outcome reason`` for each problem.  ``few``: the
first two problems, each as one program, and one that is refused.
COMPARE_TEST_DEVICE=gpu has it run on GPUs, where problems of 16 bits count.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from itertools import product
from typing import Any

from msgspec.structs import replace

from compare.backends import backend
from compare.maths import inputs
from compare.schema.records import Problem
from compare.variants import refusal, sharing
from compare.worker import composing, launcher
from tests import samples
from tests.variants import conformance

DEVICE: Any = os.environ.get("COMPARE_TEST_DEVICE", "cpu")
FEW = "few" in sys.argv
SHAPE = samples.problem(batch=2, q_len=48, kv_len=48, heads=8, kv_heads=4, head_dim=16)
CASES = [("causal", "float32", 1), ("full", "bfloat16", 1), ("causal", "float32", 3)]
if DEVICE == "gpu":
    SHAPE = replace(SHAPE, q_len=1024, kv_len=1024, head_dim=64)
    CASES = [("causal", "bfloat16", 1), ("full", "bfloat16", 1), ("causal", "float16", 3)]


def problems(devices: int) -> list[Problem]:
    made = []
    for mask, dtype, layers in CASES:
        precision = "ieee" if dtype == "float32" else "default"
        how = {"mask": mask, "dtype": dtype, "layers": layers, "matmul_precision": precision}
        made.append(replace(SHAPE, devices=devices, **how))
    if DEVICE == "gpu":  # where odd parts take another way
        made.append(replace(made[0], q_len=510 * devices, kv_len=510 * devices))
    return [*made, replace(made[0], q_len=46, kv_len=46), replace(made[0], heads=4, kv_heads=2)]


def computed(adapter: Any, devices: Any, package: str, variant: str, problem: Problem) -> dict[str, Any]:
    arrays = composing.put(problem, adapter, devices)
    attention = import_module(f"{package}.variants.{variant}").attention
    mode = next(entry.modes[0] for entry in (backend("jax"), backend("torch")) if entry.package == package)
    programs = adapter.programs(composing.composed(attention, package, problem), mode, arrays, problem.matmul_precision)
    found = dict(zip(("step.out", "step.dq", "step.dk", "step.dv"), programs.step(), strict=True))
    if problem == problems(problem.devices)[0] and not FEW:  # a program in JAX takes seconds to compile
        found |= {"forward.out": programs.forward()}
        gradients = programs.backward(programs.save())
        found |= dict(zip(("backward.dq", "backward.dk", "backward.dv"), gradients, strict=True))
    return {key: composing.numbers(array, problem, adapter, devices) for key, array in found.items()}


def outcome(adapter: Any, devices: Any, name: str, variant: str, problem: Problem) -> str:
    if reason := refusal(problem, name, variant):
        return f"skip {reason}"
    try:
        found = computed(adapter, devices, backend(name).package, variant, problem)
    except NotImplementedError as refused:
        return f"skip {refused}"
    verdict = conformance.agreement(problem, DEVICE, inputs.draw(problem), found)
    wrong = [each.tensor for each in verdict.tensors if not each.agrees]
    return f"WRONG {' '.join(wrong)}" if wrong else "ok"


def main() -> None:
    name, count = sys.argv[1:3]
    package = backend(name).package
    if launcher.LAUNCHER in os.environ:
        import_module(f"{package}.team").Team()
    devices = import_module(f"{package}.devices").Devices(DEVICE, int(count))
    adapter = import_module(f"{package}.adapter").Adapter(DEVICE, 1)
    mine = sharing(name)
    asked = problems(int(count))
    for variant, problem in product(mine, [*asked[:2], asked[-2]] if FEW else asked):
        text = outcome(adapter, devices, name, variant, problem)
        if devices.rank == 0:
            print(f"{variant}: {text}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
