"""Check every variant x mask x dtype x grouped heads x layout against the oracle, forward and step, on a CPU or a GPU.

    python -m tests.variants.conformance --device gpu --jobs 8 --out conformance.md

The other tests here check the backward pass by itself, and more layouts, stacks and lengths in float32 and float16.
Each variant and dtype runs in its own process.  Refused problems are counted with their reason.  Exit code 1 if a
result is wrong or a variant fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from compare.backends import BACKENDS, backend, missing_modules
from compare.cli.arguments import Parser
from compare.machine import environment
from compare.maths import inputs
from compare.maths.oracle import drawn_slices
from compare.plan.values import whole
from compare.render.markdown_text import code, escape, table
from compare.schema.records import DTYPES, PASSES, Agreement, Device, Dtype, PassName, Problem, Record
from compare.variants import variants
from compare.verify.comparison import Comparison
from compare.worker import composing

Array = NDArray[Any]
TENSORS = ("out", "dq", "dk", "dv")
MASKS = ("full", "causal", "window:48", "strided:16")
HEADS = ((4, 4), (4, 2), (4, 1))
LENGTHS = ((160, 160), (160, 224))
Outcome = Literal["ok", "WRONG", "skip", "ERROR"]


class Tried(Record, frozen=True):
    """One variant on one problem; ``text``: the reason, or the tensors that are wrong."""

    variant: str
    problem: Problem
    outcome: Outcome
    text: str = ""


def computed(
    adapter: Any,
    package: str,
    attention: Callable[..., Any],
    problem: Problem,
    arrays: inputs.Inputs,
    mode: str,
    scale: float | None = None,
    passes: Sequence[PassName] = PASSES,
) -> dict[str, Array]:
    """``pass.tensor`` -> array [B, T, N, H], computed through the adapter as a worker does."""

    def scaled(q: Any, k: Any, v: Any, mask: str) -> Any:
        return attention(q, k, v, mask=mask, **({} if scale is None else {"scale": scale}))

    whole = composing.composed(scaled, package, problem)
    tensors = tuple(adapter.put(composing.laid_out(each, problem.layout), problem.dtype) for each in arrays)
    programs = adapter.programs(whole, mode, tensors, problem.matmul_precision)
    found = {"forward.out": programs.forward()} if "forward" in passes else {}
    try:
        backward = programs.backward(programs.save()) if "backward" in passes else ()
        step = programs.step() if "step" in passes else ()
    except NotImplementedError:  # some variants have no gradients here
        if "forward" not in passes:
            raise
        backward = step = ()
    found |= dict(zip([f"step.{tensor}" for tensor in TENSORS], step, strict=False))
    found |= dict(zip([f"backward.{tensor}" for tensor in TENSORS[1:]], backward, strict=False))
    for key, array in found.items():
        if str(array.dtype).rpartition(".")[2] != problem.dtype:
            raise TypeError(f"{key}: expected {problem.dtype}, got {array.dtype}")
    numbers = {key: adapter.numpy(adapter.block(array)) for key, array in found.items()}
    return {key: np.asarray(composing.laid_out(array, problem.layout)) for key, array in numbers.items()}


def agreement(problem: Problem, device: Device, arrays: inputs.Inputs, found: dict[str, Array]) -> Agreement:
    """The program's agreement check, over all slices."""
    comparison = Comparison(problem, device, arrays, {"found": found})
    slices = drawn_slices(problem)
    for part in slices:
        comparison.check(part)
    return comparison.verdict("found", len(slices))


def problems(dtype: Dtype) -> Iterator[Problem]:
    """The combinations in one dtype; in bfloat16 also each mask in the other layout, in a stack, and with more keys."""
    base = Problem(
        batch=2,
        q_len=LENGTHS[0][0],
        kv_len=LENGTHS[0][1],
        heads=4,
        kv_heads=4,
        head_dim=64,
        mask="causal",
        dtype="float32",
        matmul_precision="ieee",
        seed=5,
    )
    for mask, (heads, kv_heads) in product(MASKS, HEADS):
        precision = "ieee" if dtype == "float32" else "default"
        plain = replace(base, mask=mask, dtype=dtype, matmul_precision=precision, heads=heads, kv_heads=kv_heads)
        yield plain
        if heads == kv_heads and dtype == "bfloat16":
            yield replace(plain, layout="bnth")
            yield replace(plain, layers=3)
            yield replace(plain, q_len=LENGTHS[1][0], kv_len=LENGTHS[1][1])


def tried(name: str, variant: str, dtype: Dtype, device: Device, threads: int) -> Iterator[Tried]:
    """One variant of one backend on all problems of a dtype, in this process."""
    package = backend(name).package
    adapter = import_module(f"{package}.adapter").Adapter(device, threads)
    attention = import_module(f"{package}.variants.{variant}").attention
    for problem in problems(dtype):
        yield one(adapter, package, attention, variant, problem, device)
        adapter.release()


def one(
    adapter: Any, package: str, attention: Callable[..., Any], variant: str, problem: Problem, device: Device
) -> Tried:
    """One variant on one problem."""
    arrays = inputs.draw(problem)
    mode = next(entry.modes[0] for entry in BACKENDS.values() if entry.package == package)
    try:
        found = computed(adapter, package, attention, problem, arrays, mode, passes=("forward", "step"))
    except NotImplementedError as reason:
        return Tried(variant=variant, problem=problem, outcome="skip", text=str(reason))
    except Exception as error:  # noqa: BLE001  the reason becomes the outcome, and the exit code 1
        return Tried(variant=variant, problem=problem, outcome="ERROR", text=f"{type(error).__name__}: {error}"[:300])
    verdict = agreement(problem, device, arrays, found)
    wrong = [
        f"{each.tensor} {each.max_error:.1e} > {each.allowed_max:.1e} or {each.rms_error:.1e} > {each.allowed_rms:.1e}"
        for each in verdict.tensors
        if not each.agrees
    ]
    text = "; ".join(wrong) or ("" if "step.dq" in found else "forward only: it has no gradients here")
    return Tried(variant=variant, problem=problem, outcome="WRONG" if wrong else "ok", text=text)


def asked(name: str, variant: str, dtype: Dtype, device: Device, threads: int) -> list[Tried]:
    """``tried`` in its own process."""
    command = [sys.executable, "-m", "tests.variants.conformance", "--device", device]
    command += ["--in-process", name, variant, dtype, str(threads)]
    variables = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": "cpu" if device == "cpu" else ""}
    if device == "gpu":  # only correctness counts: no autotuning, so other kernels than those that are timed
        variables["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_autotune_level=0"
    variables |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    kept = {key: value for key, value in os.environ.items() if key not in environment.OVERRIDES}
    variables = {key: value for key, value in variables.items() if value}
    done = subprocess.run(command, env=kept | variables, stdout=subprocess.PIPE, check=False)
    lines = (line for line in done.stdout.splitlines() if line.startswith(b'{"variant"'))
    found = [msgspec.json.decode(line, type=Tried) for line in lines]
    if done.returncode:
        planned = list(problems(dtype))
        text = f"its process ended with {done.returncode} after {len(found)} of {len(planned)} problems"
        at = planned[min(len(found), len(planned) - 1)]
        found.append(Tried(variant=variant, problem=at, outcome="ERROR", text=text))
    return found


def page(found: dict[str, list[Tried]]) -> str:
    """Counts per variant, then every reason and every wrong result."""
    words: tuple[Outcome, ...] = ("ok", "skip", "WRONG", "ERROR")
    counts, reasons = [], []
    for name, results in found.items():
        for variant in dict.fromkeys(each.variant for each in results):
            own = [each for each in results if each.variant == variant]
            tally = Counter(each.outcome for each in own)
            counts.append([code(f"{name}:{variant}"), *(str(tally[word]) for word in words)])
            texts = Counter((each.outcome, each.text) for each in own if each.text)
            for (outcome, text), times in texts.items():
                where = next(each.problem.label for each in own if each.text == text)
                reasons.append([code(f"{name}:{variant}"), outcome, str(times), escape(text), escape(where)])
    return "\n\n".join(
        [
            table(["Variant", *(f">{word}" for word in words)], counts),
            table(["Variant", "Outcome", ">Problems", "Why", "For one, at"], reasons),
            "",
        ]
    )


def main() -> int:
    """Run the checks; write the tables to the terminal and to ``--out``."""
    parser = Parser(prog="python -m tests.variants.conformance", description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--backend", nargs="+", choices=tuple(BACKENDS), default=tuple(BACKENDS))
    parser.add_argument("--variant", nargs="+", default=(), metavar="NAME", help="(default: all)")
    parser.add_argument("--out", type=Path, help="a Markdown file")
    parser.add_argument(
        "--jobs", type=whole("jobs", 1000), default=1, metavar="N", help="processes in parallel (default: %(default)s)"
    )
    parser.add_argument("--in-process", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        name, variant, dtype, threads = options.in_process
        for each in tried(name, variant, dtype, options.device, int(threads)):
            print(msgspec.json.encode(each).decode(), flush=True)
        return 0
    found = all_tried(options)
    text = page(found)
    print(text)
    return 1 if any(each.outcome in ("WRONG", "ERROR") for results in found.values() for each in results) else 0


def all_tried(options: argparse.Namespace) -> dict[str, list[Tried]]:
    """Backend -> outcomes, from ``--jobs`` processes in parallel.  The page is rewritten as each of them ends."""
    installed = [name for name in options.backend if not missing_modules(name)]
    named = [(name, each) for name in installed for each in variants(name) if each in (options.variant or [each])]
    asks = sorted(product(named, DTYPES), key=lambda ask: ask[0][1] != "flex")  # flex first: it takes longest
    threads = max(1, len(os.sched_getaffinity(0)) // options.jobs)
    found: dict[str, list[Tried]] = {name: [] for name in installed}
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {
            pool.submit(asked, name, variant, dtype, options.device, threads): name for (name, variant), dtype in asks
        }
        for done in as_completed(running):
            found[running[done]] += done.result()
            print(f"{len([each for each in running if each.done()])} of {len(asks)} done", file=sys.stderr)
            if options.out:
                options.out.write_text(page(found), encoding="utf-8")
    return found


if __name__ == "__main__":
    sys.exit(main())
