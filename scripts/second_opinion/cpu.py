"""On a CPU: how much of its window device time covers, what the rest is, and what the profiler costs."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import msgspec

from compare.backends import Programs
from compare.profile.timeline import iterations
from compare.schema.records import PASSES, Case, PassName
from compare.stats.estimates import Estimate, estimate
from compare.worker.clock import Stopwatch
from compare.worker.session import Session
from scripts.second_opinion.cases import Task, label
from scripts.second_opinion.gaps import Uncovered, by_window, uncovered
from scripts.second_opinion.sheets import NOT, OK, UNJUDGED, Sheet

WARM_UPS, ITERATIONS, PAIRS = 4, 15, 12
LONG_S = 0.02  # below this the constant cost of a call is a visible share, and coverage is only reported
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
        """The least coverage of this pass; None where it is only reported."""
        return REQUIRED.get((self.case.contender.backend, self.pass_name)) if self.is_long else None

    @property
    def is_long(self) -> bool:
        """Whether the pass is long enough for its coverage to be judged."""
        return median(self.window_s) > LONG_S

    @property
    def verdict(self) -> str:
        """Whether coverage is what it must be."""
        if self.required is None:
            return UNJUDGED
        return OK if median(self.coverage) >= self.required else NOT


def measure(task: Task) -> list[Covered]:
    """What the child does: every pass of every case of one framework."""
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
        session.run(programs, name)  # finds the caches cold
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
    """A profiled window over a call without a profiler, the one ``first`` or the other; seconds that the trace took."""
    gc.collect()
    if first:
        window_s, trace_s = _profiled(session, programs, name)
        return window_s / _plain(session, programs, name), trace_s
    plain_s = _plain(session, programs, name)
    window_s, trace_s = _profiled(session, programs, name)
    return window_s / plain_s, trace_s


def _plain(session: Session, programs: Programs, name: PassName) -> float:
    """Wall time of a call without a profiler, after one that warms the caches."""
    watch = Stopwatch()
    session.run(programs, name)
    session.run(programs, name, watch)
    return watch.seconds[0]


def _profiled(session: Session, programs: Programs, name: PassName) -> tuple[float, float]:
    """Length of a window after a call that warms the caches; seconds to start, stop and read the trace."""
    begin = perf_counter()
    with session.profiler.trace() as found:
        opened = perf_counter()
        session.run(programs, name)
        session.run(programs, name, partial(session.profiler.window, name))
        closing = perf_counter()
    seen = iterations(found[0])
    return seen[0].window_s, perf_counter() - closing + opened - begin


def sheets(found: Sequence[Covered]) -> list[Sheet]:
    """Coverage with what is not covered, and the cost of the profiler."""
    coverage = Sheet(
        "Coverage: device time as a share of its window",
        ("case", "pass", ">window ms", ">coverage", ">lowest", ">required", "verdict", "what is not covered"),
        remarks=[
            f"medians of {ITERATIONS} iterations; a gap is the time in which no op ran, summed over an iteration",
            f"not judged: windows below {LONG_S * 1e3:.0f} ms, and JAX's backward, for which nothing is required",
        ],
    )
    cost = Sheet(
        "What the profiler costs",
        ("case", "pass", ">window / call without profiler", ">95% interval", ">start, stop and read s"),
        remarks=[f"{PAIRS} pairs in turns, each call after one that warms the caches; the order alternates"],
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
