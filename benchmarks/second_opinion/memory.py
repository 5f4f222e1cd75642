"""Compare the memory in our reports with a second method.

    python -m benchmarks.second_opinion.memory [--device gpu] [--seq-len T]

On a CPU: the profiler's peak of each pass, and the growth of resident memory in a process that returns freed blocks
to the system.  On a GPU: the profiler's peak and saved bytes, and the allocator's own counters.  Each line is one
pass of one contender in its own process, because JAX's peak counter cannot be reset.  XLA does not autotune there:
autotuning allocates from the same pool.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from rich.console import Console

from benchmarks.second_opinion.cases import MODES
from benchmarks.second_opinion.sheets import Sheet
from compare.backends import Counters
from compare.cli.arguments import Parser
from compare.machine import environment
from compare.schema.records import PASSES, Case, Contender, PassName, Problem
from compare.worker.protocol import Prepare, Resident
from compare.worker.session import Session

CONTENDERS = [(backend, mode) for backend, modes in MODES.items() for mode in modes]


def case_of(options: argparse.Namespace) -> Case:
    """The case of a child process."""
    problem = Problem(
        batch=4,
        q_len=options.seq_len,
        kv_len=options.seq_len,
        heads=1,
        kv_heads=1,
        head_dim=64,
        mask="causal",
        dtype="float32",
        matmul_precision="ieee",
        seed=0,
    )
    backend, mode = options.child.split(":")[:2]
    return Case(problem=problem, contender=Contender(backend=backend, variant="naive", mode=mode))


def child(options: argparse.Namespace) -> None:
    """Print one line of JSON: profiler bytes and second-method bytes of one pass, and of what is saved."""
    case, name = case_of(options), options.child.split(":")[2]
    session = Session(f"{case.contender.backend}_attn", options.device, os.cpu_count() or 1)
    second, saved_second = second_method(session, case, name, options.device)
    with tempfile.TemporaryDirectory() as folder:
        prepared = session.prepare(Prepare(case=case, passes=PASSES, folder=folder, warmup_budget_s=0.1))
    saved = prepared.saved_bytes if name == "step" else None
    print(
        json.dumps(
            {
                "profiler": prepared.memory[name].peak_bytes,
                "second": second,
                "saved": saved,
                "saved_second": saved_second if saved is not None else None,
            }
        )
    )


def second_method(session: Session, case: Case, name: PassName, device: str) -> tuple[int, int | None]:
    """Peak of a pass and saved bytes, without a profiler."""
    if device == "cpu":
        return session.resident(Resident(case=case, passes=(name,))).peak_bytes[name], None
    programs, adapter = session.programs_of(case), session.adapter

    def counters() -> Counters:
        gc.collect()
        found = adapter.counters()
        if found is None:
            raise SystemExit("no allocator counters on this device")
        return found

    if case.contender.backend == "torch":  # the first calls allocate cuBLAS workspaces, which stay
        session.run(programs, "step")
        session.run(programs, "forward")
    before = counters().in_use_bytes
    kept = adapter.block(programs.save()) if name != "forward" else None
    out = case.problem.batch * case.problem.q_len * case.problem.d_model * 4
    saved = counters().in_use_bytes - before - out if kept is not None else None
    if name == "step":
        del kept
    before = counters().in_use_bytes
    adapter.reset_peak()
    result = adapter.block(programs.backward(kept) if name == "backward" else getattr(programs, name)())
    peak = counters().peak_bytes - before
    del result
    return peak, saved


def ask(backend: str, mode: str, name: str, options: argparse.Namespace) -> dict[str, int | None]:
    """Run one child."""
    variables = dict(os.environ) | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": ".95"}
    if options.device == "cpu":
        variables |= environment.GIVE_BACK | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    elif backend == "jax":
        variables["XLA_FLAGS"] = variables.get("XLA_FLAGS", "") + " --xla_gpu_autotune_level=0"
    arguments = ["--device", options.device, "--seq-len", str(options.seq_len), "--child", f"{backend}:{mode}:{name}"]
    command = [sys.executable, "-m", "benchmarks.second_opinion.memory", *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{backend}:{mode} {name}: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, int | None] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Print the table."""
    parser = Parser(
        prog="python -m benchmarks.second_opinion.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    second = "resident growth" if options.device == "cpu" else "allocator counters"
    title = f"B=4 T={options.seq_len} N=1 H=64 causal float32 on a {options.device}"
    sheet = Sheet(title, ("contender", "pass", ">profiler MB", f">{second} MB", ">profiler / second"))
    jobs = list(product(CONTENDERS, PASSES))
    with ThreadPoolExecutor(len(jobs) if options.device == "gpu" else 1) as pool:  # nothing is timed
        answers = list(pool.map(lambda job: ask(*job[0], job[1], options), jobs))
    for ((backend, mode), name), found in zip(jobs, answers, strict=True):
        for what, profiler, other in (
            (f"{name} peak", found["profiler"], found["second"]),
            ("saved", found["saved"], found["saved_second"]),
        ):
            if profiler is not None and other:
                numbers = (f"{profiler / 1e6:.1f}", f"{other / 1e6:.1f}", f"{profiler / other:.3f}")
                sheet.rows.append((f"{backend}:naive:{mode}", what, *numbers))
    sheet.show(Console())


if __name__ == "__main__":
    main()
