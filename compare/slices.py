"""What the oracle checks at a time: one batch entry of one key head, drawn by the seed if time is short."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compare.records import Problem

Array = NDArray[Any]


class Slice(NamedTuple):
    """One (batch, key head): where its rows stand in the q-like and in the k-like arrays."""

    batch: int
    kv_head: int
    group: int

    def of(self, tensor: str, array: Array) -> Array:
        """The slice's rows: [G, T, H] of a q-like array, [S, H] of a k-like one, in float64."""
        if tensor in ("dk", "dv"):
            return np.asarray(array[self.batch, :, self.kv_head], np.float64)
        heads = slice(self.kv_head * self.group, (self.kv_head + 1) * self.group)
        return np.asarray(array[self.batch, :, heads], np.float64).swapaxes(0, 1)


def drawn_slices(problem: Problem) -> list[Slice]:
    """All slices of the problem, in an order drawn by its seed."""
    group = problem.heads // problem.kv_heads
    every = [Slice(b, k, group) for b in range(problem.batch) for k in range(problem.kv_heads)]
    order = np.random.default_rng([problem.seed, 1]).permutation(len(every))
    return [every[i] for i in order]


def within(slices: list[Slice], budget_s: float, least: int = 1) -> Iterator[Slice]:
    """The slices in order, as long as the next one should still end inside the budget; the first ``least`` always.

    So many that the sizes of at least 64 rows are known, where slices are as short as those of decoding.
    """
    start = perf_counter()
    for done, part in enumerate(slices):
        spent = perf_counter() - start
        if done >= least and spent * (done + 1) / done > budget_s:
            return
        yield part
