"""The runs on several GPUs behind results/h200x2: correctness and speedup of the sequence-parallel variants.

    python -m benchmarks.several_gpus --devices 2 --out DIR

First every variant against the oracle, then studies at two lengths, then JAX with one process per device.
Takes about ten minutes on two H200s.  Exit code: the highest of all parts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from compare.cli.arguments import Parser
from compare.plan.values import whole

EVERY = "tests.parallel.every"
CONTENDERS = ("jax:fused", "torch:fused:eager", "jax:ring", "torch:ring:eager", "torch:context_parallel:eager")
LONG = ("--heads", "8", "--d-model", "1024", "--seq-len", "131072", "--budget", "1")
GROUPED = ("--heads", "32", "--kv-heads", "8", "--d-model", "4096", "--seq-len", "65536", "--budget", "1")
SHORT = ("--heads", "8", "--kv-heads", "2", "--d-model", "1024", "--seq-len", "16384", "--budget", "0.3")


def parts(devices: int, out: Path) -> Iterator[tuple[str, list[str]]]:
    """The name of each part, and its arguments for Python."""
    each = str(devices)
    launched = ["-m", "compare.worker.launcher", "jax_attn.launcher", each]
    yield "right-jax", ["-m", EVERY, "jax", each]
    yield "right-jax-processes", [*launched, "-m", EVERY, "jax", each]
    yield "right-torch", [*torchrun(each), "-m", EVERY, "torch", each]
    yield "131072", [*study(CONTENDERS, "1", each), *LONG, "--out", str(out / "131072")]
    yield "65536", [*study(CONTENDERS, "1", each), *GROUPED, "--out", str(out / "65536")]
    shared = study(CONTENDERS[2:4], each)
    yield "processes", [*shared, *SHORT, "--process-per-device", "--out", str(out / "processes")]


def torchrun(devices: str) -> list[str]:
    """PyTorch's launcher: one process per device."""
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", devices]


def study(contenders: tuple[str, ...], *devices: str) -> list[str]:
    """One study of one sequence in bfloat16."""
    named = [word for each in contenders for word in ("--contender", each)]
    same = ["--batch-size", "1", "--dtype", "bfloat16", "--processes", "1", "--device", "gpu"]
    return ["-m", "compare", *named, "--devices", *devices, *same]


def main() -> None:
    """Run all parts in order; write the output of each to a file."""
    parser = Parser(prog="python -m benchmarks.several_gpus", description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=whole("devices", 64, least=2), default=2)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"COMPARE_TEST_DEVICE": "gpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    worst = 0
    for name, arguments in parts(options.devices, options.out):
        began = perf_counter()
        with (options.out / f"{name}.txt").open("w") as file:
            done = subprocess.run(
                [sys.executable, *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
            )
        print(f"{name}: exit code {done.returncode}, {perf_counter() - began:.0f} s", flush=True)
        worst = max(worst, abs(done.returncode))
    sys.exit(worst)


if __name__ == "__main__":
    main()
