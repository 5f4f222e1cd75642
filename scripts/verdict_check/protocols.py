"""The protocols that people use today: how each takes its samples of one pass, what it can time, and how it is read.

All of them time one contender for its whole share of the budget and then the next.  Warm-up comes out of the budget
no more than our own does.  Nothing here imports a framework before a protocol is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from compare.backends import Programs
from compare.schema.records import PASSES, Device, PassName
from compare.worker.clock import Stopwatch
from scripts.verdict_check import rules
from scripts.verdict_check.rules import Rule

if TYPE_CHECKING:
    from compare.worker.session import Session

WARMUP_CALLS = 10
FEWEST_CALLS = 3  # where one call outlasts the budget
Take = Callable[["Session", Programs, PassName, float, int], list[float]]


class Protocol(NamedTuple):
    """One way to take samples, in seconds, within a budget, and the rules by which readers compare them."""

    take: Take
    rules: dict[str, Rule]
    passes: tuple[PassName, ...] = PASSES
    backends: tuple[str, ...] = ("jax", "torch")
    devices: tuple[Device, ...] = ("cpu", "gpu")
    needs: str = ""
    leaves_out: str = ""

    def missing(self, device: Device) -> str:
        """Why it cannot run here; empty where it can."""
        if device not in self.devices:
            return f"needs a {' or '.join(self.devices)}"
        return f"{self.needs} is not installed" if self.needs and not find_spec(self.needs) else ""


def calls(session: Session, programs: Programs, name: PassName, budget_s: float, _: int) -> list[float]:
    """The seed's protocol: ten calls to warm up, then one block of timed calls, each synchronised."""
    for _ in range(WARMUP_CALLS):
        session.run(programs, name)
    watch, end = Stopwatch(), perf_counter() + budget_s
    while len(watch.seconds) < FEWEST_CALLS or perf_counter() < end:
        session.run(programs, name, watch)
    return watch.seconds


def blocked_autorange(
    session: Session, programs: Programs, name: PassName, budget_s: float, threads: int
) -> list[float]:
    """torch.utils.benchmark: blocks of as many calls as make its timer's cost negligible, seconds per call."""
    timer = import_module("torch.utils.benchmark").Timer(
        "run()", globals={"run": partial(session.run, programs, name)}, num_threads=threads
    )
    found: list[float] = timer.blocked_autorange(min_run_time=budget_s).times
    return found


def do_bench(session: Session, programs: Programs, name: PassName, budget_s: float, _: int) -> list[float]:
    """triton.testing.do_bench: events around each call, the L2 cache cleared before it."""
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
        leaves_out="no backward pass, for it cannot leave the forward half out of what it times",
    ),
    "triton.testing.do_bench": Protocol(
        do_bench,
        {"triton.testing.do_bench": rules.quantiles},
        passes=("forward", "step"),
        backends=("torch",),
        devices=("gpu",),
        needs="triton",
        leaves_out="no backward pass, for the same reason, and no JAX, whose stream its events do not see",
    ),
}
