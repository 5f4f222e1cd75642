"""Do the verdicts cry wolf, and do they see what is there?  Proof by known answers, with the program itself.

    python scripts/verdict_check.py aa          the same contender against itself: nobody may win
    python scripts/verdict_check.py planted     a contender that does 3, 5 or 10% more of the same work: it must lose
    python scripts/verdict_check.py repeat      two complete runs: no opposite verdicts

``--device gpu`` for a GPU, ``--out DIR`` keeps the results of every run there.  Each trial is one problem and pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from compare import results
from compare.records import Measurement
from compare.verdicts import VERDICTS, Compared, compared

CONTENDERS = ("jax:naive:jit", "torch:naive:eager", "torch:naive:compile")
OPPOSITE = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
# Twelve problems and three passes for each of three contenders and two ways to seat them: 216 trials.
SIZES = {
    "cpu": ("--batch-size", "4", "--seq-len", "64", "128", "256", "384", "512", "1024", "--d-model", "16", "64"),
    "gpu": ("--dtype", "bfloat16", "--batch-size", "8", "--seq-len", "256", "512", "1024", "2048", "3072", "4096", "--d-model", "16", "64"),
}
# Batches of which the planted shares are whole, and an even number of rows for two CPU cores.
PLANTED = {
    "cpu": ("--batch-size", "40", "--seq-len", "64", "96", "128", "192", "256", "320", "--d-model", "16", "64"),
    "gpu": ("--dtype", "bfloat16", "--batch-size", "100", "--seq-len", "256", "512", "768", "1024", "1536", "2048", "--d-model", "16", "64"),
}
SHARES = {"cpu": (5, 10), "gpu": (3, 5)}


class Checks:
    """Runs the program and gathers its verdicts."""

    def __init__(self, options: argparse.Namespace, keep: Path) -> None:
        self.device, self.budget, self._keep = options.device, options.budget, keep
        self.console = Console()

    def run(self, name: str, contenders: Iterable[str], *arguments: str) -> list[Compared]:
        """One run of the program; its comparisons."""
        named = [word for each in contenders for word in ("--contender", each)]
        out = self._keep / name.replace(":", "-")
        command = ["-m", "scripts.planted", *named, *arguments, "--device", self.device, "--out", str(out)]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr}")
        run, rows = results.read(out / results.RESULTS)
        bad = [row.contender.name for row in rows if not isinstance(row, Measurement)]
        if bad:
            self.console.print(f"{name}: without numbers {', '.join(bad)}")
        return compared(rows, run.settings.same_within)

    def aa(self) -> None:
        """The same contender twice, in one worker and in two."""
        table = verdict_table("A/A: the same contender against itself", "seated")
        every: list[Compared] = []
        for workers, contender in product(("backend", "contender"), CONTENDERS):
            arguments = ("--workers", workers, "--budget", self.budget, *SIZES[self.device])
            found = self.run(f"aa-{workers}-{contender}", (contender, contender), *arguments)
            every += found
            add(table, contender, {"backend": "in one worker", "contender": "in two workers"}[workers], found)
        add(table, "all", "", every)
        self.console.print(table)
        wrong = sum(each.verdict in OPPOSITE for each in every)
        self.console.print(f"FASTER or SLOWER: {wrong} of {len(every)}; asked: at most 8%")

    def planted(self) -> None:
        """A contender that does more of the same work, beside the plain one."""
        table = verdict_table("Planted slow-downs", "planted")
        for contender in CONTENDERS:
            slower = [f"{contender}+{share}" for share in SHARES[self.device]]
            found = self.run(
                f"planted-{contender}", (contender, *slower), "--budget", self.budget, *PLANTED[self.device]
            )
            for share, name in zip(SHARES[self.device], slower, strict=True):
                add(table, contender, f"{share}%", [each for each in found if each.contender.name == name])
        self.console.print(table)

    def repeat(self) -> None:
        """Two complete runs of a quick sweep."""
        first, second = (
            {
                (each.problem, each.contender, each.pass_name): each.verdict
                for each in self.run(name, CONTENDERS, "--quick")
            }
            for name in ("first", "second")
        )
        same = sum(first[key] == second[key] for key in first)
        opposite = sum(OPPOSITE.get(first[key]) == second[key] for key in first)
        self.console.print(f"two complete runs: {len(first)} verdicts, {same} the same, {opposite} opposite")


def verdict_table(title: str, what: str) -> Table:
    """An empty table of verdicts."""
    table = Table("contender", what, "trials", *VERDICTS, "median |ratio - 1|", "median interval", title=title)
    for column in table.columns[2:]:
        column.justify = "right"
    return table


def add(table: Table, contender: str, what: str, found: Sequence[Compared]) -> None:
    """One line of the table."""
    tally = Counter(each.verdict for each in found)
    off = median(abs(each.ratio.median - 1) for each in found)
    width = median(each.ratio.half_width for each in found)
    numbers = (len(found), *(tally[word] for word in VERDICTS))
    table.add_row(contender, what, *map(str, numbers), f"{off:.2%}", f"±{width:.2%}")


def main() -> None:
    """Run the chosen checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="+", choices=("aa", "planted", "repeat"))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--budget", default="2", help="seconds a case")
    parser.add_argument("--out", type=Path, help="where the results stay (default: nowhere)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(options, options.out or Path(folder))
        for name in options.checks:
            getattr(checks, name)()


if __name__ == "__main__":
    main()
