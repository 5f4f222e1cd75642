"""Do the verdicts cry wolf, and do they see what is there?  Proof by known answers, with the program itself.

    python -m scripts.verdict_check aa          the same contender against itself: nobody may win
    python -m scripts.verdict_check planted     a contender that does 3, 5 or 10% more of the same work: it must lose
    python -m scripts.verdict_check repeat      two complete runs: no opposite verdicts

``aa`` and ``planted`` also judge the same pairs, in the same time, by protocols that are in use today: mean and
standard deviation, torch.utils.benchmark, and on a GPU triton.testing.do_bench.  Each trial is one problem and pass.
Exit code 1 where something that was asked does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from rich.console import Console

from compare.backends import BACKENDS
from compare.cli.arguments import Parser
from compare.cli.options import check_out
from compare.plan.values import SECONDS, whole
from compare.schema.records import PASSES
from scripts.planted import register
from scripts.verdict_check import checks
from scripts.verdict_check.checks import Outcome
from scripts.verdict_check.wanted import CONTENDERS, Wanted

CHECKS = {"aa": checks.aa, "planted": checks.planted, "repeat": checks.repeat}


def parse(argv: list[str]) -> argparse.Namespace:
    """The options."""
    parser = Parser(
        prog="python -m scripts.verdict_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checks", nargs="+", choices=tuple(CHECKS))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--budget",
        type=SECONDS,
        default=2.0,
        help="seconds a contender and problem (default: 2; repeat runs --quick as it comes)",
    )
    parser.add_argument("--of", choices=("both", "program", "baselines"), default="both", help="whose (default: both)")
    parser.add_argument("--sizes", choices=("all", "small"), default="all", help="all problems, or 2 (default: all)")
    parser.add_argument(
        "--processes", type=whole("processes", 100), metavar="P", help="of the program (default: its own)"
    )
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--pass", dest="passes", nargs="+", choices=PASSES, default=PASSES)
    parser.add_argument("--out", type=Path, help="a new folder for tables, results and samples (default: nowhere)")
    options = parser.parse_args(argv)
    try:
        check_out(options.out)
    except ValueError as error:
        parser.error(str(error))
    if options.checks == ["repeat"] and options.of == "baselines":
        parser.error("repeat: the baselines have no part in it")
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
    """Tables, notes, and last of all what was asked."""
    for table in outcome.tables:
        console.print(table.terminal())
    for line in (*outcome.notes, *(ask.line for ask in outcome.asks)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def page(outcome: Outcome) -> str:
    """The same as Markdown."""
    lines = [f"- {line}" for line in (*outcome.notes, *(ask.line for ask in outcome.asks))]
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
        held = []
        for name in dict.fromkeys(options.checks):
            outcome = CHECKS[name](wanted(options, out), say)
            show(outcome, console)
            (out / f"{name}.md").write_text(page(outcome), encoding="utf-8")
            held += [ask.holds for ask in outcome.asks]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
