"""The kinds of values on the command line: each parses a word, or raises one line with what was expected."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from compare.schema.contract import parse_mask
from compare.schema.records import Problem

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
    """The shard's problems in their order: the costliest are assigned first, each to the least loaded job.

    Every job deals alike, so the shares of one command line and its N shards are the whole sweep, each problem once.
    Raises ValueError where there are fewer problems than jobs.
    """
    if shard.jobs > len(problems):
        raise ValueError(
            f"--shard {shard.number}/{shard.jobs}: this sweep has only {len(problems)} problems; use fewer shards"
        )
    loads = [(0.0, at) for at in range(shard.jobs)]
    own = set()
    for problem in sorted(problems, key=cost_s, reverse=True):
        load, at = min(loads)
        loads[at] = (load + cost_s(problem), at)
        if at == shard.number - 1:
            own.add(problem)
    return tuple(problem for problem in problems if problem in own)


UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
Format = Literal["terminal", "markdown", "html", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


def whole(option: str, most: int, least: int = 1) -> Callable[[str], int]:
    """A whole number in a range that is not absurd."""

    def read(text: str) -> int:
        sized = text.isdecimal() and len(text) <= len(str(most))
        if not sized or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text[:60]!r}")
        return int(text)

    read.__name__ = option
    return read


def number(what: str, below: float) -> Callable[[str], float]:
    """A number above zero and below a bound."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < below:
            raise argparse.ArgumentTypeError(f"expected {what} above 0 and below {below:g}, got {text[:60]!r}")
        return value

    return read


SECONDS = number("a number of seconds", 1e9)
PERCENT = number("a percentage", 100)


def size(text: str) -> int:
    """A number of bytes, or of kB, MB, GB or TB."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?([kMGT]?)B?", text)
    value = int(float(match[1]) * UNITS[match[2]]) if match else 0
    if not value:
        raise argparse.ArgumentTypeError(f"expected a size above 0 such as 500000000, 500MB or 40GB, got {text[:60]!r}")
    return value


def mask(text: str) -> str:
    """A mask that parses."""
    try:
        parse_mask(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def shard(text: str) -> Shard:
    """I/N."""
    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def formats(text: str) -> tuple[Format, ...]:
    """Formats of a report with commas between them, each once."""
    named = dict.fromkeys(word.strip() for word in text.split(","))
    known = tuple(each for each in FORMATS if each in named)
    if len(known) < len(named):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(FORMATS)}, got {text[:60]!r}")
    return known
