"""On a GPU: the child processes that measure device times, long runs, and calls under Nsight Compute."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import msgspec

from benchmarks.second_opinion import ncu
from benchmarks.second_opinion.cases import Task
from benchmarks.second_opinion.driver import Driver
from benchmarks.second_opinion.longrun import long_run
from benchmarks.second_opinion.ncu import COPY, Timed
from compare.backends import Programs
from compare.profile import timeline
from compare.profile.timeline import Iteration, RefusedWindow
from compare.schema.records import Case, PassName
from compare.worker.session import Session

PASSES: tuple[PassName, ...] = ("forward", "backward")
WARM_UPS, ITERATIONS, LEAST, ATTEMPTS, NCU_CALLS = 5, 24, 20, 4, 9


class Ours(msgspec.Struct, frozen=True):
    """One pass by our profiler and by a long run without it.  ``problem``: the reason if there are no numbers."""

    case: Case
    pass_name: PassName
    device_s: float = 0.0
    kernels: tuple[Timed, ...] = ()
    long_run_s: float = 0.0
    long_run_calls: int = 0
    problem: str = ""

    @property
    def kernels_s(self) -> float:
        """Sum of the kernel durations."""
        return sum(kernel.device_s for kernel in self.kernels)

    @property
    def mean_kernel_s(self) -> float:
        """Mean kernel duration."""
        return self.kernels_s / len(self.kernels) if self.kernels else 0.0


def measure(task: Task) -> list[Ours]:
    """Measure with our profiler and by long runs, in the child process."""
    session = task.session()
    found = []
    for case in task.cases():
        programs = warm(session, case)
        gc.collect()
        gc.disable()
        found += [_ours(session, programs, case, name) for name in PASSES]
        gc.enable()
        del programs
    return found


def warm(session: Session, case: Case) -> Programs:
    """The passes of a case, compiled and warmed up."""
    programs = session.programs_of(case)
    for name in PASSES:
        for _ in range(WARM_UPS):
            session.run(programs, name)
    return programs


def _ours(session: Session, programs: Programs, case: Case, name: PassName) -> Ours:
    try:
        seen = _profiled(session, programs, name)
        kernels = ncu.usual([list(_kernels(one)) for one in seen], LEAST)
    except (RefusedWindow, ValueError) as reason:
        return Ours(case=case, pass_name=name, problem=str(reason))
    device_s = median(one.device_s for one in seen)
    seconds, calls = long_run(session, programs, name, device_s)
    return Ours(
        case=case,
        pass_name=name,
        device_s=device_s,
        kernels=tuple(kernels),
        long_run_s=seconds,
        long_run_calls=calls,
    )


def _profiled(session: Session, programs: Programs, name: PassName) -> list[Iteration]:
    """Iterations that the benchmark would accept as samples, from the first trace with enough of them."""
    reasons: list[str] = []
    for _ in range(ATTEMPTS):
        with session.profiler.trace() as found:
            session.run(programs, name)
            for _ in range(ITERATIONS):
                session.run(programs, name, partial(session.profiler.window, name))
        seen = timeline.iterations(found[0])
        doubts = [timeline.doubt(one, timeline.usual_kernels(seen)) for one in seen]
        good = [one for one, doubt in zip(seen, doubts, strict=True) if doubt is None]
        if len(good) >= LEAST:
            return good
        reasons += [doubt for doubt in doubts if doubt]
    raise RefusedWindow(f"{len(reasons)} windows refused; last reason: {reasons[-1] if reasons else 'no windows'}")


def _kernels(one: Iteration) -> Iterator[Timed]:
    """The kernels of an iteration in start order, without copies and memsets."""
    for span in sorted(one.work, key=lambda span: span.start_ns):
        if not COPY.match(span.name):
            yield Timed(span.name, (span.end_ns - span.start_ns) / 1e9)


def run_under_ncu(task: Task) -> int:
    """Run a few calls of each pass under Nsight Compute, in the child process.  Returns their number."""
    session = task.session()
    driver: Any = None
    count = 0
    for case in task.cases():
        programs = warm(session, case)
        driver = driver or Driver()
        for name in PASSES:
            for _ in range(NCU_CALLS):
                session.run(programs, name, driver.profiled)
                count += 1
        del programs
    return count
