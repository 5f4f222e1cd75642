"""What the oracle checks at a time: one batch entry of one key head, drawn by the seed if time is short."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compare.contract import parse_mask
from compare.maths import oracle
from compare.records import Problem

Array = NDArray[Any]

MOST_SCORES = 2**29  # of a slice that is checked whole: two minutes of one processor
DRAWN_SCORES = 2**27  # about so many of a longer one, in blocks of so many rows
BLOCK_ROWS = 16


class Rows(NamedTuple):
    """Positions of the query rows that are checked (out, dQ), and of the keys that no other row sees (dK, dV)."""

    queries: Array
    keys: Array

    def of(self, tensor: str) -> Array:
        """The positions of a tensor's rows that are checked."""
        return self.keys if tensor in ("dk", "dv") else self.queries


class Slice(NamedTuple):
    """One (batch, key head): where its rows stand in the q-like and in the k-like arrays."""

    batch: int
    kv_head: int
    group: int

    def of(self, tensor: str, array: Array, rows: Array | None = None) -> Array:
        """The slice's rows, or those of them: [G, T, H] of a q-like array, [S, H] of a k-like one, in float64."""
        at = slice(None) if rows is None else rows
        if tensor in ("dk", "dv"):
            return np.asarray(array[self.batch, :, self.kv_head][at], np.float64)
        heads = slice(self.kv_head * self.group, (self.kv_head + 1) * self.group)
        return np.asarray(array[self.batch, :, heads][at], np.float64).swapaxes(0, 1)


def drawn_slices(problem: Problem) -> list[Slice]:
    """All slices of the problem, in an order drawn by its seed."""
    group = problem.heads // problem.kv_heads
    every = [Slice(b, k, group) for b in range(problem.batch) for k in range(problem.kv_heads)]
    order = np.random.default_rng([problem.seed, 1]).permutation(len(every))
    return [every[i] for i in order]


def checked_rows(problem: Problem) -> Rows:
    """All rows of a slice; of one with more scores than the oracle can do the first, the last and some in between.

    No row before them sees the last keys, unless the mask is full: then no key's gradient is known.
    """
    rows, keys = problem.q_len, problem.kv_len
    group = problem.heads // problem.kv_heads
    times = 1 if problem.layers == 1 else 2 * problem.layers  # that the oracle goes through them
    if times * group * oracle.scores_computed(parse_mask(problem.mask), rows, keys) <= MOST_SCORES:
        return Rows(np.arange(rows), np.arange(keys))
    blocks = max(4, DRAWN_SCORES // (times * group * keys * BLOCK_ROWS))
    last = max(rows - blocks // 2 * BLOCK_ROWS, 0)
    firsts = np.random.default_rng([problem.seed, 2]).permutation(np.arange(0, last, BLOCK_ROWS))[: blocks // 2 - 1]
    starts = [0, *firsts, *range(last, rows, BLOCK_ROWS)]
    drawn = np.unique(np.concatenate([np.arange(start, min(start + BLOCK_ROWS, rows)) for start in starts]))
    known = np.arange(min(last, keys), keys) if problem.mask != "full" else np.arange(0)
    return Rows(drawn, known)


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
