"""Contenders, problems and time of a run of the checks, as command-line words and as the program's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.planted import extra
from compare.cli import options
from compare.cli.run import build_parser
from compare.plan import cases
from compare.plan.devices import cpu_threads
from compare.schema.records import Case, Contender, Device, PassName, Problem, Record
from compare.stats.estimates import WIDENED_FROM

CONTENDERS = ("jax:naive:jit", "torch:naive:eager", "torch:naive:compile")
DTYPE: dict[Device, str] = {"cpu": "float32", "gpu": "bfloat16"}  # usual on each device
SHARES: dict[Device, tuple[int, ...]] = {"cpu": (5, 10), "gpu": (3, 5)}  # percent


class Sizes(Record, frozen=True):
    """Problems of one batch size."""

    batch: int
    seq_lens: tuple[int, ...]
    d_models: tuple[int, ...] = (16, 64)

    @property
    def small(self) -> Sizes:
        """Two problems of medium length, for a quick look."""
        return Sizes(
            batch=self.batch, seq_lens=self.seq_lens[len(self.seq_lens) // 3 :][:2], d_models=self.d_models[-1:]
        )

    @property
    def words(self) -> tuple[str, ...]:
        """As options of the program."""
        lists = {"--batch-size": (self.batch,), "--seq-len": self.seq_lens, "--d-model": self.d_models}
        return tuple(word for option, values in lists.items() for word in (option, *map(str, values)))


# 12 problems x 3 passes x 3 contenders x 2 assignments of workers = 216 trials.  On a CPU calls take up to about ten
# milliseconds: of longer ones, a few seconds hold too few rounds.
EQUAL: dict[Device, Sizes] = {
    "cpu": Sizes(batch=4, seq_lens=(64, 96, 128, 192, 256, 384)),
    "gpu": Sizes(batch=8, seq_lens=(256, 512, 1024, 2048, 3072, 4096)),
}
# Planted shares of these batches are whole numbers of rows, and even ones for two CPU cores.  On a CPU calls take a few
# milliseconds: a busy machine changes its speed between longer ones.
PLANTED: dict[Device, Sizes] = {
    "cpu": Sizes(batch=40, seq_lens=(48, 64, 96)),
    "gpu": Sizes(batch=100, seq_lens=(512, 1024, 2048)),
}


class Wanted(Record, frozen=True):
    """The options of the checks."""

    device: Device
    budget_s: float
    contenders: tuple[str, ...]
    passes: tuple[PassName, ...]
    small: bool
    processes: int | None
    program: bool
    baselines: bool
    out: Path

    def words(self, sizes: dict[Device, Sizes]) -> tuple[str, ...]:
        """Problems, passes, device and budget as options of the program."""
        chosen = sizes[self.device].small if self.small else sizes[self.device]
        return (*chosen.words, *self.common_words, "--budget", str(self.budget_s))

    @property
    def common_words(self) -> tuple[str, ...]:
        """Device, dtype, passes and processes as options of the program."""
        several = ("--processes", str(self.processes)) if self.processes else ()
        return ("--device", self.device, "--dtype", DTYPE[self.device], "--pass", *self.passes, *several)

    @property
    def apart_words(self) -> tuple[str, ...]:
        """With a worker per contender on a CPU: enough processes that the intervals include how processes differ."""
        return ("--processes", str(WIDENED_FROM)) if self.device == "cpu" and not self.processes else ()

    def problems(self, sizes: dict[Device, Sizes]) -> tuple[Problem, ...]:
        """The problems that the program plans for these words."""
        found: tuple[Problem, ...] = options.problems_for(self._parsed(sizes), self.device)
        return found

    def settings(self, sizes: dict[Device, Sizes]) -> Any:
        """The settings that the program derives from these words."""
        return options.settings(self._parsed(sizes), self.device, cpu_threads())

    def _parsed(self, sizes: dict[Device, Sizes]) -> Any:
        return build_parser().parse_args(list(self.words(sizes)))

    def equal(self, name: str) -> tuple[Contender, ...]:
        """The same contender twice."""
        return cases.numbered([cases.parse_contender(name)] * 2)

    def slowed_names(self, name: str) -> tuple[str, ...]:
        """The baseline with no extra work, then each planted slow-down."""
        return tuple(f"{name}+{share}" for share in (0, *SHARES[self.device]))

    def slowed(self, name: str) -> tuple[Contender, ...]:
        """The same, parsed."""
        plain = cases.parse_contender(name)
        modes = [each.rpartition(":")[2] for each in self.slowed_names(name)]
        return tuple(Contender(backend=plain.backend, variant=plain.variant, mode=mode) for mode in modes)


def share_of(contender: Contender) -> int:
    """The planted slow-down in percent."""
    return extra.split(contender.mode)[1]


def cases_of(problem: Problem, contenders: tuple[Contender, ...]) -> list[Case]:
    """One case for each contender."""
    return [Case(problem=problem, contender=each) for each in contenders]
