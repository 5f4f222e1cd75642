"""A stopwatch for blocks of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """Collects the wall time of the blocks it is put around."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Time the block."""
        start = perf_counter()
        yield
        self.seconds.append(perf_counter() - start)
