"""How long a report of very many rows takes, in seconds of CPU time: `python -m scripts.many_rows [ROWS]`.

The rows are made up: three contenders of each problem, one pass, ten rounds of three calls, two kernels, four tensors.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from compare.cli.arguments import Parser
from compare.plan.values import FORMATS, whole
from compare.results.store import RESULTS
from compare.schema.records import Row
from tests.samples import COMPILE, EAGER, JAX, measurement, problem, run

ROWS, MOST = 100_000, 1_000_000
SIZES = product(range(1, 10_000), (32, 64, 128, 256), range(128, 8193, 128))  # batches, head sizes, lengths


def rows() -> Iterator[Row]:
    """Rows without an end."""
    chance = random.Random(0)
    for batch, head_dim, length in SIZES:
        for contender in (JAX, EAGER, COMPILE):
            time_s = 1e-8 * length**2 * batch * chance.uniform(0.5, 2)
            where = problem(length, head_dim, batch, mask="causal")
            yield measurement(where, contender, time_s, passes=("step",), jitter=0.02)


def write(folder: Path, count: int) -> int:
    """A results file of so many rows; returns its bytes."""
    encode = msgspec.json.Encoder().encode
    with (folder / RESULTS).open("wb") as file:
        for record in (run(), *islice(rows(), count)):
            file.write(encode(record) + b"\n")
        return file.tell()


def user_s(folder: Path, name: str) -> float:
    """User CPU time of one report."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "compare", "report", str(folder), "--format", name]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def wanted(argv: Sequence[str] | None) -> int:
    """How many rows."""
    parser = Parser(prog="python -m scripts.many_rows", description=__doc__.split(":")[0] + "." if __doc__ else "")
    parser.add_argument("rows", nargs="?", type=whole("ROWS", MOST), default=ROWS, metavar="ROWS", help=f"({ROWS})")
    return int(parser.parse_args(argv).rows)


def main(argv: Sequence[str] | None = None) -> None:
    """A line for each format."""
    count = wanted(argv)
    with TemporaryDirectory() as place:
        print(f"{count} rows, {write(Path(place), count) / 1e6:.0f} MB")
        for name in FORMATS:
            print(f"{name}: {user_s(Path(place), name):.1f} s")


if __name__ == "__main__":
    main()
