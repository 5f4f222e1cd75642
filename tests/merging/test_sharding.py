"""Shards are a partition of the sweep, about equally long, and the same in every job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from compare.plan.values import Shard, parse_shard, share
from tests.samples import problem

PROBLEM = problem()

LENGTHS = some.lists(some.integers(1, 4096), min_size=1, max_size=40, unique=True)


def cost(problem):
    return float(problem.q_len**2)


@given(LENGTHS, some.data())
def test_the_shares_are_the_sweep_each_problem_once(lengths, data) -> None:
    problems = [replace(PROBLEM, q_len=each) for each in lengths]
    jobs = data.draw(some.integers(1, len(problems)))
    shares = [share(problems, Shard(number, jobs), cost) for number in range(1, jobs + 1)]
    assert sorted(each.q_len for own in shares for each in own) == sorted(lengths)
    assert all(shares)
    assert all(list(own) == [each for each in problems if each in own] for own in shares)
    loads = [sum(map(cost, own)) for own in shares]
    assert max(loads) - min(loads) <= max(map(cost, problems))


def test_long_problems_do_not_all_fall_to_one_job() -> None:
    problems = [replace(PROBLEM, q_len=length, batch=batch) for batch in range(1, 5) for length in (16, 4096)]
    for number in (1, 2):
        assert [each.q_len for each in share(problems, Shard(number, 2), cost)].count(4096) == 2


def test_more_jobs_than_problems_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--shard 1/2: this sweep has only 1 problems; use fewer shards"):
        share([PROBLEM], Shard(1, 2), cost)


@pytest.mark.parametrize("text", ["", "1", "/", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/9999999999", "１/２x"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected I/N"):
        parse_shard(text)


def test_a_shard_is_read() -> None:
    assert parse_shard("2/3") == (2, 3)
