"""Plant all faults, or those that match every WORD, and report the test that catches each.

    python -m tests.planted [WORD ...] [--jobs N] [--out FILE]

Exit code 1 if a fault goes undetected.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.planted.faults import FAULTS, Fault
from tests.planted.planting import Outcome, changed, copy_tree, passes, plant


def main() -> int:
    """Run it; a line a fault as it is done."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="only faults whose description or file holds it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="faults at a time (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the outcomes as a Markdown table")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if all(word in f"{fault.what} {fault.file}" for word in options.words)]
    if not chosen:
        parser.error(f"no fault's description holds {' and '.join(options.words)}")
    outcomes = planted(chosen, max(1, options.jobs))
    missed = [outcome for outcome in outcomes if not outcome.test]
    print(f"{len(outcomes) - len(missed)} of {len(outcomes)} faults were found")
    if options.out:
        options.out.write_text(table(outcomes), encoding="utf-8")
    return 1 if missed else 0


def planted(chosen: Sequence[Fault], jobs: int) -> list[Outcome]:
    """The outcomes in the order of the faults; each job has a copy of the tree."""
    found: dict[Fault, Outcome] = {}
    with TemporaryDirectory(prefix="planted-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for at in range(jobs):
            trees.put(copy_tree(Path(folder) / str(at)))

        for fault in chosen:
            changed(fault, Path(folder) / "0")
        green: dict[str, bool] = {}

        def one(fault: Fault) -> Outcome:
            tree = trees.get()
            try:
                outcome = plant(fault, tree)
                if outcome.test and outcome.test not in green:
                    green[outcome.test] = passes(outcome.test, tree)
                if green.get(outcome.test, True):
                    return outcome
                return outcome._replace(test="", reason=f"{outcome.test} is red without the fault too")
            finally:
                trees.put(tree)

        for done in as_completed([pool.submit(one, fault) for fault in chosen]):
            outcome = done.result()
            found[outcome.fault] = outcome
            said = f"found by {outcome.test}" if outcome.test else f"NOT FOUND, {outcome.reason}"
            print(f"[{len(found)}/{len(chosen)}] {outcome.fault.what}: {said} ({outcome.time_s:.0f} s)", flush=True)
    return [found[fault] for fault in chosen]


def table(outcomes: Sequence[Outcome]) -> str:
    """What each fault breaks, and the first test that turned red."""
    lines = ["| Fault | File | Caught by |", "| --- | --- | --- |"]
    for outcome in outcomes:
        cells = (outcome.fault.what, f"`{outcome.fault.file}`", f"`{outcome.test}`" if outcome.test else "**nobody**")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
