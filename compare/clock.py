"""A stopwatch for blocks of code, which also counts the pages that the kernel hands out in them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """Collects the wall time of the blocks it is put around."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.page_faults = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Time the block."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = perf_counter()
        yield
        self.seconds.append(perf_counter() - start)
        self.page_faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
