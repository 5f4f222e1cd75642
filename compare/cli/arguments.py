"""The options of the commands that read results: ``merge``, ``report``, ``select`` and ``diff``."""

from __future__ import annotations

import argparse
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from compare.__version__ import VERSION
from compare.analysis.diff import KINDS, Kind
from compare.analysis.mix import GOALS
from compare.backends import BACKENDS
from compare.plan.presets import PRESETS
from compare.plan.values import FORMATS, PERCENT, SECONDS, formats, mask, shard, size, whole
from compare.schema.contract import MASKS
from compare.schema.records import DTYPES, LAYOUTS, PASSES, PRECISIONS

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


SEVERAL: dict[str, Any] = {"action": "extend", "nargs": "+"}  # values; a repeated option adds to them


class Parser(argparse.ArgumentParser):
    """Errors are one line and exit code 2, and an option is typed as it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | settings)
        self._negative_number_matcher = re.compile(
            r"-[\d.]"
        )  # ``-1GB`` is no option but a value, which says what it is

    def error(self, message: str) -> NoReturn:
        """One line, no usage text."""
        if message.startswith("unrecognized arguments"):
            message += self._nearest(message.split()[2])
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _nearest(self, word: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        near = [each for each in known if each.startswith(word)] or get_close_matches(word, known, n=1)
        return f"; did you mean {near[0]}?" if near else "; --help shows what is possible"


def doctor_parser() -> Parser:
    """``doctor`` takes no options besides ``--help``."""
    return Parser(
        prog="compare doctor",
        description="What is installed, which devices each framework sees, whether its profiler delivers device and "
        "memory events there, which arithmetic its products have, whether known work (bytes, FLOPs) takes the time "
        "that it should, and whether other processes keep the machine busy.",
        epilog="Exit code 0 where all that applies to this machine passes, 3 where something fails.  A busy machine is "
        "said and fails nothing.",
    )


def build_parser() -> Parser:
    """All options; the table in README.md is checked against this."""
    parser = Parser(
        prog="compare",
        description="Which attention should I choose, JAX or PyTorch, and how sure am I?  Measures device time, memory "
        "and numeric agreement of the same attention in both frameworks, side by side.",
        epilog="Options that take several values make a sweep: their product is measured.  Commands beside it, each "
        "with a --help of its own: `python -m compare doctor` checks what is installed, and whether each framework and "
        "its profiler tell the truth about known work; `report` draws reports anew from results, `merge` joins them, "
        "`select` says by results which contender to take, `diff` what changed between two.",
    )
    who = parser.add_argument_group("contenders")
    who.add_argument("--backend", choices=("both", *BACKENDS), help="frameworks (default: both)")
    who.add_argument("--variant", **SEVERAL, metavar="NAME", help="how it is computed (default: naive)")
    who.add_argument("--mode", **SEVERAL, choices=MODES, help="PyTorch's modes (default: eager compile)")
    who.add_argument(
        "--contender",
        action="append",
        metavar="B:V[:M]",
        help="backend:variant[:mode], or backend=file.py:function[:mode] for a function of your own, either with "
        "@path/to/python behind it for another interpreter; repeatable, also the same; this exact list in place of "
        "the three options above",
    )
    what = parser.add_argument_group("problems")
    size = {name: whole(name, most) for name, most in MOST.items()}
    what.add_argument(
        "--preset",
        **SEVERAL,
        choices=PRESETS,
        metavar="NAME",
        help="shapes of real models (--list shows them); batch size, lengths and dtype can be given beside it",
    )
    what.add_argument("--batch-size", **SEVERAL, type=size["batch-size"], metavar="B", help="(default: 4, on a GPU 8)")
    what.add_argument(
        "--seq-len",
        **SEVERAL,
        type=size["seq-len"],
        metavar="T",
        help="(default: 256 1024 4096, on a GPU 8192 16384 too)",
    )
    what.add_argument("--kv-len", **SEVERAL, type=size["seq-len"], metavar="S", help="(default: as --seq-len)")
    what.add_argument(
        "--d-model",
        **SEVERAL,
        type=size["d-model"],
        metavar="D",
        help="heads x head size (default: 16 32 64, on a GPU 128 too)",
    )
    what.add_argument("--heads", **SEVERAL, type=size["heads"], metavar="N", help="(default: 1)")
    what.add_argument("--kv-heads", **SEVERAL, type=size["heads"], metavar="K", help="(default: as --heads)")
    what.add_argument(
        "--layers",
        **SEVERAL,
        type=size["layers"],
        metavar="L",
        help="layers of x + attention(x, k, v) one upon the other, where checkpointing pays (default: 1)",
    )
    what.add_argument(
        "--devices",
        **SEVERAL,
        type=size["devices"],
        metavar="N",
        help="so many devices share the sequence: for ring, allgather, ulysses, context_parallel (default: 1)",
    )
    what.add_argument("--layout", **SEVERAL, choices=LAYOUTS, help="order of axes in memory (default: btnh)")
    what.add_argument("--mask", **SEVERAL, type=mask, metavar="MASK", help=" ".join(MASKS) + " (default: causal)")
    what.add_argument("--dtype", **SEVERAL, choices=DTYPES, help="(default: float32)")
    what.add_argument(
        "--matmul-precision",
        **SEVERAL,
        choices=PRECISIONS,
        help="of float32 products, in both frameworks alike; 'default' shows each one's own (default: ieee)",
    )
    what.add_argument(
        "--seed", type=whole("seed", 2**32, least=0), default=0, metavar="N", help="of the inputs (default: 0)"
    )
    how = parser.add_argument_group("measuring")
    how.add_argument("--pass", dest="passes", **SEVERAL, choices=PASSES, help="(default: all)")
    how.add_argument("--device", choices=("cpu", "gpu"), help="(default: a GPU that all frameworks see, else the CPU)")
    how.add_argument("--threads", type=size["threads"], metavar="N", help="CPU threads (default: all CPUs)")
    how.add_argument(
        "--malloc",
        choices=("recycle", "system"),
        default="recycle",
        help="CPU: keep freed pages, or give them back as the C library does (default: recycle)",
    )
    how.add_argument(
        "--workers",
        choices=("backend", "contender"),
        default="backend",
        help="a process for each framework, or for each contender (default: backend)",
    )
    how.add_argument(
        "--processes",
        type=whole("processes", MOST["processes"]),
        metavar="P",
        help="repeat everything in so many fresh processes (default: 1, on a GPU 2)",
    )
    how.add_argument(
        "--process-per-device",
        action="store_true",
        help="each of several devices has a process of its own in JAX too, through jax.distributed, as in PyTorch "
        "(default: one process of JAX has them all)",
    )
    how.add_argument(
        "--cache",
        choices=("warm", "cold"),
        default="warm",
        help="cold: evict the device's last-level cache before each sample (default: warm)",
    )
    how.add_argument("--dispatch", action="store_true", help="time streams of calls too, beside single ones")
    how.add_argument(
        "--same-within",
        type=PERCENT,
        default=1.0,
        metavar="PERCENT",
        help="SAME: the ratio's whole interval lies within this of 1 (default: 1)",
    )
    how.add_argument(
        "--samples", type=whole("samples", MOST["samples"], least=6), metavar="N", help="a fixed number, at least 6"
    )
    how.add_argument(
        "--budget", type=SECONDS, metavar="SECONDS", help="sampling time per case (default: 8, on a GPU 4)"
    )
    how.add_argument("--quick", action="store_true", help="d_model 64, seq_len 256 and 1024, budget 2 s")
    how.add_argument("--timeout", type=SECONDS, default=600.0, metavar="SECONDS", help="for one answer (default: 600)")
    how.add_argument(
        "--max-seq-len",
        nargs="?",
        const=0,
        type=size["seq-len"],
        metavar="MOST",
        help="in place of all that: the longest sequence up to MOST that still fits (65536, on a GPU 1048576)",
    )
    how.add_argument(
        "--shard", type=shard, metavar="I/N", help="of the problems only the I-th of N shares, for N jobs; then: merge"
    )
    how.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="where: on this machine, or each problem as a task on a node of a Ray cluster (default: local)",
    )
    how.add_argument(
        "--address", metavar="HOST:PORT", help="of the cluster (default: RAY_ADDRESS, else one of this machine alone)"
    )
    rest = parser.add_argument_group("output")
    rest.add_argument("--out", type=Path, metavar="DIR", help="new or empty (default: results/<timestamp>)")
    rest.add_argument("--explain", action="store_true", help="show the kernels of each pass, and why the times differ")
    rest.add_argument(
        "--trace", action="store_true", help="keep what each contender ran, for ui.perfetto.dev and XProf"
    )
    rest.add_argument("--list", action="store_true", help="show what can be chosen, and exit")
    rest.add_argument("--dry-run", action="store_true", help="show the cases, their bytes and their time, and exit")
    rest.add_argument("--version", action="version", version=f"compare {VERSION}")
    return parser


ANSWERS = ("terminal", "markdown")  # formats of an answer


def merge_parser() -> Parser:
    """``merge`` takes results and a place for the new ones."""
    parser = Parser(
        prog="compare merge",
        description="Join the results of several runs of one study, most often the shards of a sweep, in one file and "
        "one report.  Merging again, or what was merged before, changes nothing.",
        epilog="Runs of other settings, devices or versions are refused, with the difference.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", required=True, help="a new or empty folder")
    return parser


def report_parser() -> Parser:
    """``report`` takes results, formats and a place for its files."""
    parser = Parser(
        prog="compare report",
        description="Draw the reports anew from the results of one or several runs of one study.  Needs neither "
        "framework.  A line that is damaged is named and left out.",
        epilog="Without -o one format goes to the standard output.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files")
    parser.add_argument(
        "--format",
        type=formats,
        metavar="FORMAT,...",
        help=f"{','.join(FORMATS)} (default: terminal, with -o all)",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="where report.* go; those there are replaced")
    parser.add_argument("--explain", action="store_true", help="on the terminal the kernels of each pass too")
    return parser


def select_parser() -> Parser:
    """``select`` takes results, and says what they are to decide."""
    parser = Parser(
        prog="compare select",
        description="Which contender to take for a mix of shapes: by how much, how sure, at what cost, and where along "
        "the sequence the choice flips.  None is named where the intervals do not tell the first from the next.",
        epilog="Exit code 0 with an answer or an honest 'no winner', 2 for bad input.  docs/choosing.md is a tutorial.",
    )
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="folders of runs, or their files; --max-seq-len's too"
    )
    mix = parser.add_mutually_exclusive_group()
    mix.add_argument("--weights", type=Path, metavar="FILE", help="TOML or JSON: how often a job calls each problem")
    mix.add_argument(
        "--preset",
        choices=PRESETS,
        metavar="NAME",
        help="the problems of one model's shape (default: every measured problem equally often)",
    )
    parser.add_argument(
        "--goal",
        choices=GOALS,
        default="training",
        help="what shall be short: forward time, time of a training step, or peak bytes (default: training)",
    )
    parser.add_argument(
        "--memory-limit",
        type=size,
        metavar="BYTES",
        help="leave out what takes more above its inputs; 40GB is 40 times 10^9",
    )
    parser.add_argument("--format", choices=ANSWERS, default="terminal", help="(default: terminal)")
    return parser


def diff_parser() -> Parser:
    """``diff`` takes two results, and says what of their difference is a failure."""
    parser = Parser(
        prog="compare diff",
        description="What changed from one run to another of the same study: times with intervals, memory, numbers, "
        "and cases that no longer run.  Versions of frameworks, driver and program may differ; anything else that "
        "changes results is refused, with the difference.",
        epilog="Exit code 0 where nothing got worse that --fail-on names, 1 where something did, 2 for bad input or "
        "results that cannot be held against each other.",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of a run, or its file")
    parser.add_argument("new", type=Path, metavar="NEW", help="the same of a later one")
    parser.add_argument(
        "--fail-on",
        type=kinds,
        default=kinds("slower,memory,disagreement,failing"),
        metavar="KIND,...",
        help=f"of {', '.join(KINDS)}, or none (default: all but missing)",
    )
    parser.add_argument(
        "--threshold",
        type=PERCENT,
        metavar="PERCENT",
        help="smaller changes are none, as processes of the same program differ too (default: 3 on a GPU, 5 on a CPU)",
    )
    parser.add_argument("--format", choices=ANSWERS, default="terminal", help="(default: terminal)")
    return parser


def kinds(text: str) -> set[Kind]:
    """Kinds of change for the worse, separated by commas."""
    words = [] if text == "none" else text.split(",")
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(KINDS)} or none, got {unknown[0][:60]!r}")
    return {kind for kind in KINDS if kind in words}
