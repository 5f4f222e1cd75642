"""What several processes say, as one: the slowest, the fullest, and the first that failed."""

from __future__ import annotations

import pytest

from compare.schema.records import Cost, Kernel, MemoryCurve, Notice
from compare.worker.protocol import (
    Ended,
    Failed,
    Finished,
    PassMemory,
    Prepared,
    Recompiled,
    Seen,
    Streamed,
    Turned,
    Unsupported,
)
from compare.worker.ranks import merged
from compare.worker.session import Session
from tests.samples import EAGER


def seen(times: dict[int, tuple[float, ...]], busy_s: float, refused: dict[int, str] | None = None) -> Ended:
    kernels = (Kernel(name=f"busy {busy_s}", count=1, device_s=busy_s),)
    one = Seen(contender=EAGER, pass_name="step", device_s=times, kernels=kernels, refused=refused or {})
    return Ended(seen=(one,))


def prepared(peak: int, saved: int, cost_s: float, *warnings: Notice) -> Prepared:
    return Prepared(
        costs={"step": Cost(trace_s=0.0, compile_s=cost_s, first_call_s=0.0)},
        seconds={"step": 1.0},
        memory={"step": PassMemory(peak_bytes=peak, source="s", over_time=MemoryCurve(reason="none"))},
        saved_bytes=saved,
        fused={},
        warnings=warnings,
    )


def test_a_turn_takes_as_long_as_its_slowest_process() -> None:
    found = merged([Turned(wall_s=(1.0, 5.0), page_faults=3), Turned(wall_s=(2.0, 4.0), page_faults=1)])
    assert found == Turned(wall_s=(2.0, 5.0), page_faults=3)


def test_an_iteration_takes_as_long_as_its_slowest_device_and_a_round_must_be_true_on_all() -> None:
    one = seen({1: (1.0, 5.0), 2: (9.0,)}, busy_s=1.0)
    other = seen({1: (2.0, 4.0)}, busy_s=2.0, refused={2: "no window"})
    found = merged([one, other])
    assert isinstance(found, Ended)
    assert found.seen[0].device_s == {1: (2.0, 5.0)}
    assert found.seen[0].refused == {2: "no window"}
    assert found.seen[0].kernels[0].name == "busy 2.0"


def test_memory_is_the_fullest_devices_and_a_warning_stands_once() -> None:
    notice = Notice(code="a", text="b")
    found = merged([prepared(10, 5, 1.0, notice), prepared(8, 7, 3.0, notice)])
    assert isinstance(found, Prepared)
    assert (found.memory["step"].peak_bytes, found.saved_bytes, found.costs["step"].compile_s) == (10, 7, 3.0)
    assert found.warnings == (notice,)


def test_costs_and_streams_are_those_of_the_slowest_process() -> None:
    cheap, dear = (Cost(trace_s=0.0, compile_s=seconds, first_call_s=0.0) for seconds in (1.0, 2.0))
    assert merged([Recompiled(costs={"step": cheap}), Recompiled(costs={"step": dear})]).costs == {"step": dear}
    streams = [Streamed(call_s={"step": times}) for times in ((1.0, 5.0), (2.0, 4.0))]
    assert merged(streams) == Streamed(call_s={"step": (2.0, 5.0)})


def test_what_the_fullest_process_keeps_for_itself_decides_whether_the_next_problem_fits() -> None:
    assert merged([Finished(held_bytes=1), Finished(held_bytes=5)]) == Finished(held_bytes=5)


@pytest.mark.parametrize("bad", [Unsupported(reason="no"), Failed(status="OOM", stage="prepare", reason="full")])
def test_one_that_refuses_or_fails_speaks_for_all(bad: Unsupported | Failed) -> None:
    good = prepared(1, 1, 1.0)
    assert merged([good, bad]) == bad
    assert merged([bad, good]) == bad


def test_all_processes_warm_up_as_often_as_the_slowest_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one of them waits for ever in a pass that the others no longer run."""

    class Others:
        """Whatever this process took, the slowest one took these."""

        def __init__(self) -> None:
            self.times = iter((9.0, 5.0, 4.9, 4.95, 1.0))

        def slowest(self, seconds: float) -> float:
            return max(seconds, next(self.times))

    def calls(own_s: float) -> list[float]:
        session = Session.__new__(Session)
        session.devices = Others()  # type: ignore[assignment]
        monkeypatch.setattr(Session, "run", lambda self, programs, name, watch: watch.seconds.append(own_s))
        return session._warm_up(None, "step", 60.0)[0].seconds  # type: ignore[arg-type]

    assert calls(0.001) == calls(0.8) == [9.0, 5.0, 4.9, 4.95]
