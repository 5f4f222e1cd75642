"""How long a report of many rows takes, in seconds of CPU time.

    python -m tests.redrawing.many [ROWS]

Prints a line for each format.  The target: 10,000 rows in 5 s, for each format.  Exit code 1 above it.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

from compare.plan.values import FORMATS
from compare.schema.records import Row
from tests.redrawing.written import folder
from tests.samples import COMPILE, EAGER, JAX, measurement, problem, run

ROWS, TARGET_S = 10_000, 5.0
SIZES = product(range(1, 10_000), (32, 64, 128, 256), range(128, 8193, 128))  # batches, head sizes, lengths


def rows() -> Iterator[Row]:
    """Made-up rows without an end: three contenders of each problem, one pass."""
    chance = random.Random(0)
    for batch, head_dim, length in SIZES:
        for contender in (JAX, EAGER, COMPILE):
            time_s = 1e-8 * length**2 * batch * chance.uniform(0.5, 2)
            where = problem(length, head_dim, batch, mask="causal")
            yield measurement(where, contender, time_s, passes=("step",), jitter=0.02)


def user_s(results: Path, name: str) -> float:
    """User CPU time of one report."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "compare", "report", str(results), "--format", name]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> int:
    """Measure each format."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with TemporaryDirectory() as place:
        results = folder(Path(place) / "run", run(), *islice(rows(), count))
        took = {name: user_s(results, name) for name in FORMATS}
    for name, seconds in took.items():
        print(f"{count} rows, {name}: {seconds:.1f} s")
    return 1 if max(took.values()) > TARGET_S else 0


if __name__ == "__main__":
    sys.exit(main())
