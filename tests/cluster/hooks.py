"""What Ray's worker processes do first in these tests: they have the fake backend, in the place of the real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compare import rating
from compare.backends import BACKENDS
from compare.fleet import Fleet
from compare.race import Race
from compare.records import Contender, Row
from tests import samples
from tests.run_fake import FAKES, no_rates


def fakes() -> None:
    """The fake backend, without rates."""
    BACKENDS.clear()
    BACKENDS.update(FAKES)
    rating.rated = no_rates  # type: ignore[assignment]


def rows_from_nowhere() -> None:
    """Rows as large as real ones, without workers: a node measures a problem in no time."""
    fakes()
    Fleet.start = no_worker  # type: ignore[method-assign]
    Race.run = invented  # type: ignore[method-assign]


def no_worker(self: Fleet, contender: Contender) -> None:
    """A backend that is up at once."""
    if contender.backend not in self.reports:
        self.reports[contender.backend] = samples.device(contender.backend, {"numpy": "0"})
        self._started(self.reports[contender.backend])


def invented(self: Race, contenders: Sequence[Contender], fail: object) -> Iterator[Row]:
    """A row for each contender."""
    for contender in contenders:
        yield samples.measurement(self._problem, contender)
