"""Extra work of a mode."""

from __future__ import annotations


def split(mode: str) -> tuple[str, int]:
    """``eager+5`` -> (eager, 5); no extra work without a plus."""
    plain, _, percent = mode.partition("+")
    return plain, int(percent or 0)


def is_planted(mode: str) -> bool:
    """Whether the mode takes part in a planted comparison."""
    return "+" in mode


def rows(batch: int, percent: int) -> int:
    """Extra batch rows.  Raises ValueError if ``percent`` of the batch is not a whole number."""
    if batch * percent % 100:
        raise ValueError(f"batch {batch}: {percent}% of it is no whole number of rows")
    return batch * percent // 100
