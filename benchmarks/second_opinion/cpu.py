"""On a CPU: the share of a window that device time covers, what fills the rest, and the cost of the profiler."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import msgspec

from benchmarks.second_opinion.cases import Task, label
from benchmarks.second_opinion.gaps import Uncovered, by_window, uncovered
from benchmarks.second_opinion.sheets import NOT, OK, REPORTED, Sheet
from compare.backends import Programs
from compare.profile.timeline import iterations
from compare.schema.records import PASSES, Case, PassName
from compare.stats.estimates import Estimate, estimate
from compare.worker.pacing import Stopwatch
from compare.worker.session import Session

WARM_UPS, ITERATIONS, PAIRS = 4, 15, 12
LONG_S = 0.02  # below this the fixed cost of a call matters, so coverage is reported without a verdict
NAMED = 3
REQUIRED: dict[tuple[str, PassName], float] = {
    **{("torch", name): 0.97 for name in PASSES},
    ("jax", "forward"): 0.90,
    ("jax", "step"): 0.97,
}


class Covered(msgspec.Struct, frozen=True):
    """One pass of one case: window and coverage of each iteration, the gaps, and the profiler's cost by pairs."""

    case: Case
    pass_name: PassName
    window_s: tuple[float, ...]
    coverage: tuple[float, ...]
    gaps: tuple[Uncovered, ...]
    profiled_over_plain: tuple[float, ...]
    trace_s: tuple[float, ...]

    @property
    def required(self) -> float | None:
        """The least coverage of this pass; None if it is reported without a verdict."""
        return REQUIRED.get((self.case.contender.backend, self.pass_name)) if self.is_long else None

    @property
    def is_long(self) -> bool:
        """Whether the pass is long enough for a verdict on its coverage."""
        return median(self.window_s) > LONG_S

    @property
    def verdict(self) -> str:
        """Whether coverage is high enough."""
        if self.required is None:
            return REPORTED
        return OK if median(self.coverage) >= self.required else NOT


def measure(task: Task) -> list[Covered]:
    """Measure every pass of every case, in the child process."""
    session = task.session()
    return [found for case in task.cases() for found in _case(session, case)]


def _case(session: Session, case: Case) -> Iterator[Covered]:
    programs = session.programs_of(case)
    for name in PASSES:
        for _ in range(WARM_UPS):
            session.run(programs, name)
    gc.collect()
    gc.freeze()
    gc.disable()  # as in the benchmark's own turns
    try:
        for name in PASSES:
            yield _covered(session, programs, case, name)
    finally:
        gc.enable()


def _covered(session: Session, programs: Programs, case: Case, name: PassName) -> Covered:
    window = partial(session.profiler.window, name)
    gc.collect()
    with session.profiler.trace() as found:
        session.run(programs, name)  # warms the caches
        for _ in range(ITERATIONS):
            session.run(programs, name, window)
    seen = iterations(found[0])
    ratios, traces = zip(*(_pair(session, programs, name, first=bool(at % 2)) for at in range(PAIRS)), strict=True)
    return Covered(
        case=case,
        pass_name=name,
        window_s=tuple(one.window_s for one in seen),
        coverage=tuple(one.device_s / one.window_s for one in seen),
        gaps=tuple(uncovered(by_window(found[0]))[:NAMED]),
        profiled_over_plain=ratios,
        trace_s=traces,
    )


def _pair(session: Session, programs: Programs, name: PassName, first: bool) -> tuple[float, float]:
    """A profiled window divided by a call without a profiler, and the trace's overhead.  ``first``: profile first."""
    gc.collect()
    if first:
        window_s, trace_s = _profiled(session, programs, name)
        return window_s / _plain(session, programs, name), trace_s
    plain_s = _plain(session, programs, name)
    window_s, trace_s = _profiled(session, programs, name)
    return window_s / plain_s, trace_s


def _plain(session: Session, programs: Programs, name: PassName) -> float:
    """Wall time of a call without a profiler, after a call that warms the caches."""
    watch = Stopwatch()
    session.run(programs, name)
    session.run(programs, name, watch)
    return watch.seconds[0]


def _profiled(session: Session, programs: Programs, name: PassName) -> tuple[float, float]:
    """Length of a window, after a call that warms the caches, and seconds to start, stop and read the trace."""
    begin = perf_counter()
    with session.profiler.trace() as found:
        opened = perf_counter()
        session.run(programs, name)
        session.run(programs, name, partial(session.profiler.window, name))
        closing = perf_counter()
    seen = iterations(found[0])
    return seen[0].window_s, perf_counter() - closing + opened - begin


def sheets(found: Sequence[Covered]) -> list[Sheet]:
    """Tables of coverage, with the largest gaps, and of the cost of the profiler."""
    coverage = Sheet(
        "Coverage: device time as a share of its window",
        ("case", "pass", ">window ms", ">coverage", ">lowest", ">required", "verdict", "what is not covered"),
        remarks=[
            f"medians of {ITERATIONS} iterations; a gap is time in which no op ran, summed over an iteration",
            f"reported without a verdict: windows below {LONG_S * 1e3:.0f} ms, and JAX's backward",
        ],
    )
    cost = Sheet(
        "Cost of the profiler",
        ("case", "pass", ">window / call without profiler", ">95% interval", ">start, stop and read s"),
        remarks=[f"{PAIRS} pairs in alternating order; a call before each warms the caches"],
    )
    for one in found:
        names = (label(one.case), one.pass_name)
        needed = f"{one.required:.0%}" if one.required else ""
        numbers = (
            f"{median(one.window_s) * 1e3:.1f}",
            f"{median(one.coverage):.2%}",
            f"{min(one.coverage):.2%}",
            needed,
        )
        gaps = "; ".join(gap.text for gap in one.gaps)
        coverage.rows.append((*names, *numbers, one.verdict, gaps))
        ratio: Estimate = estimate(one.profiled_over_plain)
        interval = f"{ratio.low:.3f} to {ratio.high:.3f}"
        cost.rows.append((*names, f"{ratio.median:.3f}", interval, f"{median(one.trace_s):.3f}"))
    return [coverage, cost]
