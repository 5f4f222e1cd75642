"""``--shard I/N``: the problems of a sweep that one of N jobs measures, for batch schedulers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from compare.records import Problem

MOST_SHARDS = 10**5


class Shard(NamedTuple):
    """Job ``number`` of ``jobs``, from 1."""

    number: int
    jobs: int


def parse_shard(text: str) -> Shard:
    """Read ``I/N``.  Raises ValueError."""
    number, slash, jobs = text.partition("/")
    if slash and all(each.isdecimal() and len(each) <= len(str(MOST_SHARDS)) for each in (number, jobs)):
        shard = Shard(int(number), int(jobs))
        if 1 <= shard.number <= shard.jobs <= MOST_SHARDS:
            return shard
    raise ValueError(f"expected I/N with I from 1 to N and N up to {MOST_SHARDS}, got {text[:60]!r}")


def share(problems: Sequence[Problem], shard: Shard, cost_s: Callable[[Problem], float]) -> tuple[Problem, ...]:
    """The shard's problems in their order: the costliest are dealt first, each to the job that has least to do.

    Every job deals alike, so the shares of one command line and its N shards are the whole sweep, each problem once.
    Raises ValueError where there are fewer problems than jobs.
    """
    if shard.jobs > len(problems):
        raise ValueError(f"--shard {shard.number}/{shard.jobs}: this sweep has {len(problems)} problems to share out")
    loads = [(0.0, at) for at in range(shard.jobs)]
    own = set()
    for problem in sorted(problems, key=cost_s, reverse=True):
        load, at = min(loads)
        loads[at] = (load + cost_s(problem), at)
        if at == shard.number - 1:
            own.add(problem)
    return tuple(problem for problem in problems if problem in own)
