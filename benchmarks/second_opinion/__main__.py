"""Compare our device times with other measurements.

    python -m benchmarks.second_opinion [--device cpu|gpu] [--seq-len T ...] [--out FILE.md]

On a GPU: with Nsight Compute, kernel by kernel, and with long runs without a profiler.  Long runs are timed by CUDA
events in PyTorch and by wall clock in JAX, which has no events.  On a CPU: the share of a window that device time
covers, what fills the rest, and the cost of the profiler.  Exit code 1 if a line says NOT.
For memory: ``python -m benchmarks.second_opinion.memory``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.second_opinion import cases, cpu, gpu, gpu_check
from benchmarks.second_opinion.cases import MODES, Task
from benchmarks.second_opinion.sheets import Sheet, page
from compare.cli.arguments import Parser

PARTS = {"coverage": cpu.measure, "ours": gpu.measure, "ncu": gpu.run_under_ncu}


def on_cpu(seq_lens: tuple[int, ...], cache: Path, timeout_s: float) -> list[Sheet]:
    """One child process per framework."""
    tasks = [Task("coverage", backend, "cpu", seq_lens) for backend in MODES]
    return cpu.sheets([one for task in tasks for one in cases.ask(task, cache, list[cpu.Covered], timeout_s=timeout_s)])


def main() -> int:
    """Run the checks, print and write the tables."""
    parser = Parser(
        prog="python -m benchmarks.second_opinion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--seq-len", type=int, nargs="+", help="(default: on a CPU 2048 and 3072, on a GPU also 8192)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one child (default 600)")
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    parser.add_argument("--child", nargs=2, metavar=("TASK", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out and not options.out.absolute().parent.is_dir():
        parser.error(f"--out {options.out}: there is no folder {options.out.absolute().parent}")
    if options.child:
        task = msgspec.json.decode(options.child[0], type=Task)
        Path(options.child[1]).write_bytes(msgspec.json.encode(PARTS[task.part](task)))
        return 0
    seq_lens = tuple(options.seq_len or cases.SEQ_LENS[options.device])
    check = on_cpu if options.device == "cpu" else gpu_check.check
    with tempfile.TemporaryDirectory(prefix="second-opinion-") as folder:
        sheets = check(seq_lens, Path(folder), options.timeout)
    console = Console()
    for sheet in sheets:
        sheet.show(console)
    if options.out:
        options.out.write_text(page(sheets), encoding="utf-8")
    failed = sum(sheet.failed for sheet in sheets)
    console.print(f"lines that say NOT: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
