"""Common benchmark protocols: how each samples a pass, what it can time, and how readers compare its numbers.

Each protocol spends the whole budget of one contender before it times the next.  As in our own protocol, warm-up does
not count towards the budget.  No framework is imported before a protocol is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.verdict_check import rules
from benchmarks.verdict_check.rules import Rule
from compare.backends import Programs
from compare.schema.records import PASSES, Device, PassName
from compare.worker.pacing import Stopwatch

if TYPE_CHECKING:
    from compare.worker.session import Session

WARMUP_CALLS = 10
FEWEST_CALLS = 3  # even if one call takes longer than the budget
Take = Callable[["Session", Programs, PassName, float, int], list[float]]


class Protocol(NamedTuple):
    """A way to take samples, in seconds, within a budget, and the rules by which readers compare them."""

    take: Take
    rules: dict[str, Rule]
    passes: tuple[PassName, ...] = PASSES
    backends: tuple[str, ...] = ("jax", "torch")
    devices: tuple[Device, ...] = ("cpu", "gpu")
    needs: str = ""
    leaves_out: str = ""

    def missing(self, device: Device) -> str:
        """Why it cannot run here; empty if it can."""
        if device not in self.devices:
            return f"needs a {' or '.join(self.devices)}"
        return f"{self.needs} is not installed" if self.needs and not find_spec(self.needs) else ""


def calls(session: Session, programs: Programs, name: PassName, budget_s: float, _: int) -> list[float]:
    """Ten warm-up calls, then one block of timed calls, each synchronized."""
    for _ in range(WARMUP_CALLS):
        session.run(programs, name)
    watch, end = Stopwatch(), perf_counter() + budget_s
    while len(watch.seconds) < FEWEST_CALLS or perf_counter() < end:
        session.run(programs, name, watch)
    return watch.seconds


def blocked_autorange(
    session: Session, programs: Programs, name: PassName, budget_s: float, threads: int
) -> list[float]:
    """torch.utils.benchmark: blocks long enough to make timer overhead negligible; seconds per call."""
    timer = import_module("torch.utils.benchmark").Timer(
        "run()", globals={"run": partial(session.run, programs, name)}, num_threads=threads
    )
    found: list[float] = timer.blocked_autorange(min_run_time=budget_s).times
    return found


def do_bench(session: Session, programs: Programs, name: PassName, budget_s: float, _: int) -> list[float]:
    """triton.testing.do_bench: CUDA events around each call, with the L2 cache cleared before it."""
    run: Any = programs.forward if name == "forward" else programs.step
    times_ms: list[float] = import_module("triton.testing").do_bench(run, rep=budget_s * 1e3, return_mode="all")
    session.adapter.block(None)
    return [each / 1e3 for each in times_ms]


PROTOCOLS: dict[str, Protocol] = {
    "mean and std over calls": Protocol(
        calls,
        {
            f"mean and std of {rules.FEW_CALLS} calls": rules.means_of_few,
            "mean and std, same time": rules.means,
        },
    ),
    "torch.utils.benchmark": Protocol(
        blocked_autorange,
        {
            "torch.utils.benchmark, IQR": rules.quartiles,
            "torch.utils.benchmark, trimmed figures": rules.figures,
        },
        passes=("forward", "step"),
        leaves_out="no backward pass: it cannot exclude the forward half",
    ),
    "triton.testing.do_bench": Protocol(
        do_bench,
        {"triton.testing.do_bench": rules.quantiles},
        passes=("forward", "step"),
        backends=("torch",),
        devices=("gpu",),
        needs="triton",
        leaves_out="no backward pass, for the same reason; no JAX: its events do not see JAX's stream",
    ),
}
