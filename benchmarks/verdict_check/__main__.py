"""Check verdicts on pairs with a known answer.

    python -m benchmarks.verdict_check aa          the same contender twice: no significant difference
    python -m benchmarks.verdict_check planted     3, 5 or 10% more of the same work: it must be SLOWER
    python -m benchmarks.verdict_check repeat      two complete runs: no contradictory verdicts

``aa`` and ``planted`` also compare the same pairs by common protocols, with the same time budget: mean and standard
deviation, torch.utils.benchmark, and on a GPU triton.testing.do_bench.  Each trial is one problem and pass.
Exit code 1 if a requirement is not met.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from rich.console import Console

from benchmarks.planted import register
from benchmarks.verdict_check import checks
from benchmarks.verdict_check.checks import Outcome
from benchmarks.verdict_check.wanted import CONTENDERS, Wanted
from compare.backends import BACKENDS
from compare.cli.arguments import Parser
from compare.cli.options import check_out
from compare.plan.values import SECONDS, whole
from compare.schema.records import PASSES

CHECKS = {"aa": checks.aa, "planted": checks.planted, "repeat": checks.repeat}


def parse(argv: list[str]) -> argparse.Namespace:
    """The options."""
    parser = Parser(
        prog="python -m benchmarks.verdict_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checks", nargs="+", choices=tuple(CHECKS))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--budget",
        type=SECONDS,
        default=2.0,
        help="seconds per contender and problem (default: 2; repeat uses the budget of --quick)",
    )
    parser.add_argument(
        "--of", choices=("both", "program", "baselines"), default="both", help="which verdicts to check (default: both)"
    )
    parser.add_argument("--sizes", choices=("all", "small"), default="all", help="all problems, or two (default: all)")
    parser.add_argument(
        "--processes",
        type=whole("processes", 100),
        metavar="P",
        help="processes per framework (default: that of the program)",
    )
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--pass", dest="passes", nargs="+", choices=PASSES, default=PASSES)
    parser.add_argument("--out", type=Path, help="a new folder for tables, results and samples (default: keep nothing)")
    options = parser.parse_args(argv)
    try:
        check_out(options.out)
    except ValueError as error:
        parser.error(str(error))
    if options.checks == ["repeat"] and options.of == "baselines":
        parser.error("repeat does not run the baselines")
    return options


def wanted(options: argparse.Namespace, out: Path) -> Wanted:
    """The options, typed."""
    return Wanted(
        device=options.device,
        budget_s=options.budget,
        contenders=tuple(options.contender),
        passes=tuple(name for name in PASSES if name in options.passes),
        small=options.sizes == "small",
        processes=options.processes,
        program=options.of != "baselines",
        baselines=options.of != "program",
        out=out,
    )


def show(outcome: Outcome, console: Console) -> None:
    """Tables, notes, then the requirements."""
    for table in outcome.tables:
        console.print(table.terminal())
    for line in (*outcome.notes, *(each.line for each in outcome.requirements)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def page(outcome: Outcome) -> str:
    """The same as Markdown."""
    lines = [f"- {line}" for line in (*outcome.notes, *(each.line for each in outcome.requirements))]
    return "\n".join([*(table.markdown() for table in outcome.tables), *lines, ""])


def main() -> int:
    """Run the chosen checks."""
    options, console, begin = parse(sys.argv[1:]), Console(), perf_counter()
    register(BACKENDS)

    def say(text: str) -> None:
        console.print(f"{perf_counter() - begin:6.0f} s  {text}", markup=False, highlight=False, soft_wrap=True)

    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        met = []
        for name in dict.fromkeys(options.checks):
            outcome = CHECKS[name](wanted(options, out), say)
            show(outcome, console)
            (out / f"{name}.md").write_text(page(outcome), encoding="utf-8")
            met += [each.met for each in outcome.requirements]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
