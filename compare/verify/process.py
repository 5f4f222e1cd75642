"""The process that verifies the numbers of one problem: NumPy and no framework; one request, one answer."""

from __future__ import annotations

import socket
import sys
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.maths import inputs
from compare.maths.oracle import drawn_slices, within
from compare.schema.records import Agreement, Device, Problem, Record
from compare.verify.comparison import Comparison
from compare.verify.tolerance import NEIGHBOURS
from compare.worker.protocol import Channel

Array = NDArray[Any]


class Verify(Record, frozen=True, tag=True):
    """Verify the arrays that each contender left in its folder, within about ``budget_s`` of oracle time."""

    problem: Problem
    device: Device
    folders: dict[str, str]
    budget_s: float


class Verified(Record, frozen=True, tag=True):
    """The agreement of each contender, by folder name."""

    agreements: dict[str, Agreement]


def load(folder: Path) -> dict[str, Array]:
    """``pass.tensor.when`` -> array, memory-mapped: only the drawn slices are read."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def verify(request: Verify) -> Verified:
    """Check slices until all are done or the time is up; at least one."""
    arrays = {name: load(Path(folder)) for name, folder in request.folders.items()}
    comparison = Comparison(request.problem, request.device, inputs.draw(request.problem), arrays)
    slices = drawn_slices(request.problem)
    rows = min(request.problem.q_len * request.problem.heads // request.problem.kv_heads, request.problem.kv_len)
    for part in within(slices, request.budget_s, least=ceil(NEIGHBOURS / rows)):
        comparison.check(part)
    comparison.compare_everywhere()
    return Verified(agreements={name: comparison.verdict(name, len(slices)) for name in request.folders})


def main() -> None:
    """Entry point of the verification process: argv holds the channel's file descriptor; one request, one answer."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), Verify)
    channel.send(verify(channel.receive()))


if __name__ == "__main__":
    main()
