"""Rows whose rounds are given, and files of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from compare.results.store import RESULTS, Log
from compare.schema.records import PASSES, Contender, Measurement, Problem, Row, Run
from tests.samples import JAX, measurement, run

FUSED = Contender(backend="torch", variant="fused", mode="compile")


def measured(
    where: Problem, contender: Contender = JAX, *rounds_s: float, wall: float = 1.1, **other: Any
) -> Measurement:
    """A row with these samples in every pass, a sample a round; by the wall so many times as long."""
    row = measurement(where, contender, passes=other.pop("passes", PASSES), **other)
    walls = tuple(each * wall for each in rounds_s)
    passes = {
        name: replace(result, device_s=rounds_s, wall_s=walls, per_round=1) for name, result in row.passes.items()
    }
    return replace(row, passes=passes)


def steady(where: Problem, contender: Contender = JAX, time_s: float = 1e-3, **other: Any) -> Measurement:
    """A row of ten rounds that scatter by a few parts in ten thousand."""
    return measured(where, contender, *(time_s * (1 + 1e-4 * at) for at in range(10)), **other)


def noisy(
    where: Problem, contender: Contender, time_s: float, chance: random.Random, spread: float = 0.02, **other: Any
) -> Measurement:
    """A row of ten rounds with normal noise."""
    return measured(where, contender, *(time_s * (1 + spread * chance.gauss(0, 1)) for _ in range(10)), **other)


def written(folder: Path, *rows: Row, record: Run | None = None) -> Path:
    """A results folder."""
    folder.mkdir()
    for each in (record or run(), *rows):
        Log(folder / RESULTS).append(each)
    return folder
