"""What all commands share: parsers with errors in one line, common arguments, and exit codes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from compare.schema.records import Failure, Measurement, Row

OK, DISAGREEMENT, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
REGRESSION = 1


def exit_code(rows: Sequence[Row]) -> int:
    """0: all measured or skipped, out of memory included; 1: a disagreement; 3: a failure, or an unverified row."""
    if any(isinstance(row, Measurement) and row.agreement and not row.agreement.agrees for row in rows):
        return DISAGREEMENT
    failed = any(isinstance(row, Failure) and row.status != "OOM" for row in rows)
    unverified = any(isinstance(row, Measurement) and row.agreement is None for row in rows)
    return FAILED if failed or unverified else OK


ANSWERS = ("terminal", "markdown")  # formats of an answer


class Parser(argparse.ArgumentParser):
    """Errors are one line and exit code 2, and an option is typed as it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | settings)
        self._negative_number_matcher = re.compile(
            r"-[\d.]"
        )  # ``-1GB`` is no option but a value, which says what it is

    def error(self, message: str) -> NoReturn:
        """One line, no usage text."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")

    def refuse_unknown(self, words: list[str]) -> None:
        """End with what was not understood and the nearest option, if there is such a word."""
        if words:
            self.error(f"unrecognized arguments: {' '.join(words)}{self._nearest(words[0])}")

    def _nearest(self, word: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        near = [option for option in known if word.strip() and option.startswith(word)]
        near = near or get_close_matches(word, known, n=1)
        return f"; did you mean {near[0]}?" if near else "; --help shows what is possible"

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """What cannot be read, or cannot be, ends with one line and code 2."""
        try:
            yield
        except (ValueError, OSError) as error:
            self.error(str(error))


def add_results(parser: Parser, more: str = "") -> None:
    """The results that a command reads."""
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help=f"folders of runs, or their files{more}"
    )


def add_answer_format(parser: Parser) -> None:
    """The format of an answer on standard output."""
    parser.add_argument("--format", choices=ANSWERS, default="terminal", help="(default: terminal)")
