"""Read Nsight Compute's output as kernels per call, and match them with ours."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

METRIC = "gpu__time_duration.sum"
OPTIONS = (
    *("--clock-control", "none", "--cache-control", "none"),  # clocks and caches as in our own runs
    *("--profile-from-start", "off", "--target-processes", "application-only"),
    *("--metrics", METRIC, "--csv", "--page", "raw", "--print-units", "base"),
)
SECONDS = {
    **{"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6},
    **{"ms": 1e-3, "msecond": 1e-3, "s": 1.0, "second": 1.0},
}
COPY = re.compile(r"mem(cpy|set)", re.IGNORECASE)  # Nsight Compute does not report these


class Timed(msgspec.Struct, frozen=True):
    """A kernel and its duration."""

    name: str
    device_s: float


class Pair(msgspec.Struct, frozen=True):
    """The same kernel in our trace and in Nsight Compute's."""

    name: str
    ours_s: float
    theirs_s: float

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours_s / self.theirs_s


def read(text: str) -> list[Timed]:
    """The kernels of a raw page in launch order.

    Lines of the profiler surround the table; a row of units follows the headings.
    Raises ValueError if there is no such table, or for an unknown unit.
    """
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        raise ValueError("Nsight Compute wrote no table")
    units, *rows = csv.DictReader(line for line in lines[start:] if line.startswith('"'))
    if METRIC not in units or "Kernel Name" not in units:
        raise ValueError(f"Nsight Compute's table has no column {METRIC} or no column Kernel Name")
    if units[METRIC] not in SECONDS:
        raise ValueError(f"{METRIC} is in {units[METRIC]!r}, expected one of {', '.join(SECONDS)}")
    unit_s = SECONDS[units[METRIC]]
    ordered = sorted(rows, key=lambda row: int(row["ID"]))
    return [Timed(row["Kernel Name"], float(row[METRIC].replace(",", "")) * unit_s) for row in ordered]


def calls(kernels: Iterable[Timed], mark: str) -> list[list[Timed]]:
    """The kernels after each marker, up to the next."""
    found: list[list[Timed]] = []
    for kernel in kernels:
        if core(kernel.name) == mark:
            found.append([])
        elif found:
            found[-1].append(kernel)
    return found


def core(name: str) -> str:
    """A kernel's name without its return type, namespaces, template arguments and parameters.

    Profilers write these differently: spaces, anonymous namespaces, type names.
    """
    bare = re.sub(r"\(anonymous namespace\)|<unnamed>|\{anonymous\}", "", name).removeprefix("void ")
    head: str = re.split(r"[<(]", bare, maxsplit=1)[0]
    return head.rpartition("::")[2].strip()


def same(ours: str, theirs: str) -> bool:
    """Whether two names mean the same kernel; one of them may be mangled."""
    a, b = core(ours), core(theirs)
    return a == b or (ours.startswith("_Z") and f"{len(b)}{b}" in ours) or (theirs.startswith("_Z") and a in theirs)


def usual(found: Sequence[Sequence[Timed]], least: int) -> list[Timed]:
    """A typical call: median durations over the calls with the most common sequence of kernels.

    Raises ValueError if fewer than ``least`` calls ran the same kernels in the same order.
    """
    names = Counter(tuple(kernel.name for kernel in call) for call in found)
    order, count = names.most_common(1)[0] if names else ((), 0)
    if not order or count < least:
        raise ValueError(f"expected {least} calls with the same kernels in the same order, got {count}")
    alike = [call for call in found if tuple(kernel.name for kernel in call) == order]
    return [Timed(name, median(call[at].device_s for call in alike)) for at, name in enumerate(order)]


def match(ours: Iterable[Timed], theirs: Iterable[Timed]) -> tuple[list[Pair], list[str]]:
    """Pairs by name, in order of appearance, and every kernel that only one side saw."""
    pairs, alone = [], []
    left: dict[int, Timed] = dict(enumerate(theirs))
    for kernel in ours:
        if COPY.match(kernel.name):
            continue
        at = next((at for at, other in left.items() if same(kernel.name, other.name)), None)
        if at is None:
            alone.append(f"only ours: {core(kernel.name)}")
        else:
            pairs.append(Pair(core(kernel.name), kernel.device_s, left.pop(at).device_s))
    return pairs, alone + [f"only Nsight Compute's: {core(other.name)}" for other in left.values()]
