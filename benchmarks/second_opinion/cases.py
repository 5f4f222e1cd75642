"""The cases that are checked, and the child processes that run them in the environment of a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from compare.machine.environment import OVERRIDES, fair
from compare.plan.devices import cpu_threads
from compare.schema.records import PASSES, Case, Contender, Device, Dtype, Problem, Settings
from compare.worker.__main__ import pin
from compare.worker.session import Session

MODES = {"jax": ("jit",), "torch": ("eager", "compile")}
SEQ_LENS: dict[Device, tuple[int, ...]] = {"cpu": (2048, 3072), "gpu": (2048, 4096, 8192)}
DTYPES: dict[Device, tuple[Dtype, ...]] = {"cpu": ("float32",), "gpu": ("bfloat16", "float32")}
ERROR_CHARACTERS = 1500


class Task(msgspec.Struct, frozen=True):
    """The work of one child process: a part of the check, for all cases of one framework."""

    part: str
    backend: str
    device: Device
    seq_lens: tuple[int, ...]

    def cases(self) -> Iterator[Case]:
        """The cases, grouped by problem so that its contenders share inputs."""
        for dtype, length, mode in product(DTYPES[self.device], self.seq_lens, MODES[self.backend]):
            problem = Problem(
                batch=4 if self.device == "cpu" else 8,
                q_len=length,
                kv_len=length,
                heads=1,
                kv_heads=1,
                head_dim=64,
                mask="causal",
                dtype=dtype,
                matmul_precision="ieee" if self.device == "cpu" else "tf32",
                seed=0,
            )
            yield Case(problem=problem, contender=Contender(backend=self.backend, variant="naive", mode=mode))

    def session(self) -> Session:
        """The framework in this process, pinned as a worker is."""
        pin(cpu_threads())
        return Session(f"{self.backend}_attn", self.device, cpu_threads())


def label(case: Case) -> str:
    """A case in one short line."""
    return f"{case.contender.name} {case.problem.label}"


def environment(device: Device, cache: Path) -> dict[str, str]:
    """The environment of a worker.  The children share one cache, so all run the same kernels."""
    settings = Settings(
        device=device,
        passes=PASSES,
        threads=cpu_threads(),
        malloc="recycle",
        budget_s=0.0,
        samples=None,
        timeout_s=0.0,
        seed=0,
    )
    kept = {name: value for name, value in os.environ.items() if name not in OVERRIDES}
    return kept | fair(settings, cache) | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def ask(task: Task, cache: Path, answer: Any, *, timeout_s: float, under: tuple[str, ...] = ()) -> Any:
    """Run a child process, if asked under another program, and return its answer.  Raises RuntimeError if it fails.

    The child writes its answer to a file, so output of the libraries cannot corrupt it.
    """
    path = cache / f"{task.part}-{task.backend}.json"
    command = [*under, sys.executable, "-m", __package__, "--child", msgspec.json.encode(task).decode(), str(path)]
    try:
        done = subprocess.run(
            command,
            env=environment(task.device, cache),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{task.part} of {task.backend}: not finished within {timeout_s:g} s") from None
    if done.returncode or not path.exists():
        raise RuntimeError(
            f"{task.part} of {task.backend}: exit code {done.returncode}\n{done.stdout[-ERROR_CHARACTERS:]}"
        )
    return msgspec.json.decode(path.read_bytes(), type=answer)
