"""The main job: measure attention in both frameworks.  It runs where no other command is named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compare.__version__ import VERSION
from compare.backends import BACKENDS
from compare.cli import options as given_options
from compare.cli.arguments import BAD_INPUT, INTERRUPTED, OK, Parser, exit_code
from compare.plan.cases import Plan
from compare.plan.presets import PRESETS
from compare.plan.values import PERCENT, SECONDS, mask, shard, whole
from compare.schema.contract import MASKS
from compare.schema.records import DTYPES, LAYOUTS, PASSES, PRECISIONS

DESCRIPTION = (
    "Which attention should I choose, JAX or PyTorch, and how sure am I?  Measures device time, memory and numeric "
    "agreement of the same attention in both frameworks, side by side."
)
EPILOG = (
    "Options that take several values make a sweep over all combinations.  Other commands, each with its own --help: "
    "`report` draws the reports again, `merge` joins results, `select` recommends a contender, `diff` finds "
    "regressions, `doctor` checks this machine."
)
MODES = tuple(dict.fromkeys(mode for entry in BACKENDS.values() for mode in entry.modes if len(entry.modes) > 1))
MOST = {
    "batch-size": 2**20,
    "seq-len": 2**24,
    "d-model": 2**20,
    "heads": 2**12,
    "layers": 2**10,
    "devices": 2**10,
    "threads": 2**12,
    "samples": 10**6,
    "processes": 100,
}
SIZES = {name: whole(name, most) for name, most in MOST.items()}
SEVERAL: dict[str, Any] = {"action": "extend", "nargs": "+"}  # values; a repeated option adds to them


def build_parser() -> Parser:
    """A parser of this command alone."""
    parser = Parser(prog="compare", description=DESCRIPTION, epilog=EPILOG)
    add_arguments(parser)
    return parser


def add_arguments(parser: Parser) -> None:
    """All options; the table in README.md is checked against these."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = "compare [options]\n       compare {report,merge,select,diff,doctor} ..."
    add_contenders(parser)
    add_problems(parser)
    add_measuring(parser)
    add_output(parser)
    add_advanced(parser)


def add_contenders(parser: Parser) -> None:
    """The contenders."""
    group = parser.add_argument_group("contenders")
    group.add_argument("--backend", choices=("both", *BACKENDS), help="frameworks (default: both)")
    group.add_argument("--variant", **SEVERAL, metavar="NAME", help="implementations (default: naive)")
    group.add_argument("--mode", **SEVERAL, choices=MODES, help="PyTorch's modes (default: eager compile)")
    group.add_argument(
        "--contender",
        action="append",
        metavar="B:V[:M]",
        help="backend:variant[:mode], or backend=file.py:function[:mode] for your own function; @path/to/python at "
        "the end runs it in another interpreter; repeatable; overrides the three options above",
    )


def add_problems(parser: Parser) -> None:
    """The problems."""
    group = parser.add_argument_group("problems")
    group.add_argument(
        "--preset",
        **SEVERAL,
        choices=PRESETS,
        metavar="NAME",
        help="shapes of real models (see --list); combines with --batch-size, --seq-len, --kv-len and --dtype",
    )
    group.add_argument("--batch-size", **SEVERAL, type=SIZES["batch-size"], metavar="B", help="(default: 4; GPU: 8)")
    group.add_argument(
        "--seq-len",
        **SEVERAL,
        type=SIZES["seq-len"],
        metavar="T",
        help="(default: 256 1024 4096; GPU: also 8192 16384)",
    )
    group.add_argument("--kv-len", **SEVERAL, type=SIZES["seq-len"], metavar="S", help="(default: as --seq-len)")
    group.add_argument(
        "--d-model",
        **SEVERAL,
        type=SIZES["d-model"],
        metavar="D",
        help="heads x head size (default: 16 32 64; GPU: also 128)",
    )
    group.add_argument("--heads", **SEVERAL, type=SIZES["heads"], metavar="N", help="query heads (default: 1)")
    group.add_argument(
        "--kv-heads", **SEVERAL, type=SIZES["heads"], metavar="K", help="key/value heads (default: as --heads)"
    )
    group.add_argument(
        "--layers",
        **SEVERAL,
        type=SIZES["layers"],
        metavar="L",
        help="stack of L layers x + attention(x, k, v) (default: 1)",
    )
    group.add_argument(
        "--devices",
        **SEVERAL,
        type=SIZES["devices"],
        metavar="N",
        help="number of devices for sequence parallelism (default: 1)",
    )
    group.add_argument("--layout", **SEVERAL, choices=LAYOUTS, help="order of axes in memory (default: btnh)")
    group.add_argument("--mask", **SEVERAL, type=mask, metavar="MASK", help=" ".join(MASKS) + " (default: causal)")
    group.add_argument("--dtype", **SEVERAL, choices=DTYPES, help="(default: float32)")
    group.add_argument(
        "--matmul-precision",
        **SEVERAL,
        choices=PRECISIONS,
        help="of float32 products, in both frameworks; 'default' uses each framework's own (default: ieee)",
    )
    group.add_argument(
        "--seed", type=whole("seed", 2**32, least=0), default=0, metavar="N", help="of the inputs (default: 0)"
    )


def add_measuring(parser: Parser) -> None:
    """What is measured, and for how long."""
    group = parser.add_argument_group("measuring")
    group.add_argument("--pass", dest="passes", **SEVERAL, choices=PASSES, help="(default: all)")
    group.add_argument(
        "--device", choices=("cpu", "gpu"), help="(default: a GPU that all frameworks see, else the CPU)"
    )
    group.add_argument("--quick", action="store_true", help="d_model 64, seq_len 256 and 1024, budget 2 s")
    group.add_argument("--budget", type=SECONDS, metavar="SECONDS", help="sampling time per case (default: 8; GPU: 4)")
    group.add_argument(
        "--samples", type=whole("samples", MOST["samples"], least=6), metavar="N", help="fixed number, at least 6"
    )
    group.add_argument(
        "--processes",
        type=whole("processes", MOST["processes"]),
        metavar="P",
        help="repeat everything in P fresh processes (default: 1; GPU: 2)",
    )
    group.add_argument(
        "--same-within",
        type=PERCENT,
        default=1.0,
        metavar="PERCENT",
        help="equivalence margin in percent (default: 1)",
    )
    group.add_argument(
        "--timeout", type=SECONDS, default=600.0, metavar="SECONDS", help="per answer of a worker (default: 600)"
    )
    group.add_argument(
        "--max-seq-len",
        nargs="?",
        const=0,
        type=SIZES["seq-len"],
        metavar="MOST",
        help="search for the longest sequence that fits, up to MOST (default: 65536; GPU: 1048576); no timing",
    )


def add_output(parser: Parser) -> None:
    """What is shown and written."""
    group = parser.add_argument_group("output")
    group.add_argument("--out", type=Path, metavar="DIR", help="new or empty folder (default: results/<timestamp>)")
    group.add_argument("--explain", action="store_true", help="show the kernels of each pass and why times differ")
    group.add_argument("--trace", action="store_true", help="keep profiler traces, for ui.perfetto.dev and XProf")
    group.add_argument("--list", action="store_true", help="show all choices and exit")
    group.add_argument("--dry-run", action="store_true", help="show the cases with their memory and time, and exit")
    group.add_argument("--version", action="version", version=f"compare {VERSION}")


def add_advanced(parser: Parser) -> None:
    """Advanced options."""
    group = parser.add_argument_group("advanced")
    group.add_argument("--threads", type=SIZES["threads"], metavar="N", help="CPU threads (default: all CPUs)")
    group.add_argument(
        "--malloc",
        choices=("recycle", "system"),
        default="recycle",
        help="CPU: recycle freed pages, or use glibc's default (default: recycle)",
    )
    group.add_argument(
        "--workers",
        choices=("backend", "contender"),
        default="backend",
        help="one worker process per framework, or per contender (default: backend)",
    )
    group.add_argument(
        "--process-per-device",
        action="store_true",
        help="with several --devices: one process per device in JAX too (default: one process for all)",
    )
    group.add_argument(
        "--cache",
        choices=("warm", "cold"),
        default="warm",
        help="cold: evict the last-level cache before each sample (default: warm)",
    )
    group.add_argument("--dispatch", action="store_true", help="also time streams of calls: the launch overhead")
    group.add_argument("--shard", type=shard, metavar="I/N", help="run shard I of N; join the results with `merge`")
    group.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster with one task per problem (default: local)",
    )
    group.add_argument(
        "--address", metavar="HOST:PORT", help="of the Ray cluster (default: RAY_ADDRESS, else a local one)"
    )


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """Measure and report, or show what would be measured; returns the exit code."""
    from compare.cli import listing, max_seq_len
    from compare.cli.publishing import Screen
    from compare.measure import search  # after the options: `--help` answers in a blink
    from compare.results.store import RESULTS

    console = Screen()
    if options.list:
        return listing.show_choices(console)
    with parser.refusing():
        plan = given_options.plan(options, argv)
    if options.dry_run:
        return listing.show_plan(plan, console)
    create(plan.out, search.RECORDS if plan.max_seq_len else RESULTS)
    if plan.max_seq_len:
        return INTERRUPTED if max_seq_len.run(plan, plan.max_seq_len, console) else OK
    return measure(plan, console, options.explain)


def measure(plan: Plan, console: Any, explain: bool) -> int:
    """The study and its reports."""
    from compare.cli import publishing, study

    measured = study.measure(plan, console)
    publishing.publish(measured.run, measured.rows, plan.out, console, explain=explain)
    return INTERRUPTED if measured.interrupted else exit_code(measured.by_process)


def create(out: Path, claimed: str) -> None:
    """Make the results folder, or end with one line and code 2."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / claimed).touch(exist_ok=False)  # claims the folder, should two runs begin at once
    except OSError as error:
        print(f"compare: error: --out {out}: cannot be written: {error.strerror}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error
