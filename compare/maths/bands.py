"""How the variants that skip hidden keys cut the scores into blocks: one geometry for all frameworks.

B, T, S, N, K, H as in `compare.schema.contract`.
"""

from __future__ import annotations

from typing import NamedTuple

from compare.schema.contract import Mask

SMALLEST_BLOCK = 32


class Band(NamedTuple):
    """C ``blocks`` of ``size`` queries; each meets its own block of keys and the ``before`` blocks before it."""

    size: int
    blocks: int
    before: int

    @property
    def scores(self) -> int:
        """How many scores are computed for one head of one batch entry."""
        return self.blocks * self.size * (self.before + 1) * self.size


def window_band(mask: Mask, q_len: int, kv_len: int) -> Band:
    """Blocks of a quarter of the window: small enough to compute little in vain, large enough for a matrix product."""
    width = min(mask.size, max(q_len, kv_len))
    size = max(SMALLEST_BLOCK, -(-width // 4))
    return Band(size, -(-q_len // size), -(-(width - 1) // size))


class Rows(NamedTuple):
    """The sequence written in ``rows`` of ``length`` queries, and ``key_rows`` of as many keys."""

    length: int
    rows: int
    key_rows: int

    @property
    def near(self) -> Band:
        """The last ``length`` keys of a query lie in its own row and in the one before."""
        return Band(self.length, self.rows, 1)

    @property
    def scores(self) -> int:
        """How many scores are computed for one head of one batch entry: near ones, and a column of keys."""
        return self.near.scores + self.rows * self.length * self.key_rows


def strided_rows(mask: Mask, q_len: int, kv_len: int) -> Rows:
    """Rows as long as the stride, so that every ``size``-th key stands in one column."""
    length = min(mask.size, max(q_len, kv_len))
    return Rows(length, -(-q_len // length), -(-kv_len // length))
