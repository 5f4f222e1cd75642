"""Kinds of values on the command line: each reads a word or says in one line what was expected."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Literal, get_args

from compare.contract import parse_mask
from compare.plan.sharding import Shard, parse_shard

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
