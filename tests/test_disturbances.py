"""Drift, outliers, two levels, and the machine around: found where planted, not cried where absent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from compare.analysis.notices import worded
from compare.machine import load
from compare.schema.records import Conditions
from compare.stats import disturbances
from tests import samples

ROUNDS = 30


def codes(device_s: list[float], per_round: int = 1) -> list[str]:
    wall_s = tuple(each * 1.1 for each in device_s)
    result = replace(samples.pass_result(1e-3, 0), device_s=tuple(device_s), wall_s=wall_s, per_round=per_round)
    return [notice.code for notice in disturbances.notices({"forward": result})]


def noise(seed: int, rounds: int = ROUNDS, scatter: float = 0.01) -> np.ndarray:
    return np.exp(scatter * np.random.default_rng(seed).standard_normal(rounds))


def share(found: Callable[[int], bool], trials: int = 200) -> float:
    return sum(found(seed) for seed in range(trials)) / trials


@pytest.mark.parametrize("rounds", [6, 12, 20, 60])
@pytest.mark.parametrize("scatter", [0.002, 0.02, 0.1])
def test_steady_samples_are_seldom_warned_of(rounds: int, scatter: float) -> None:
    assert share(lambda seed: bool(codes(list(noise(seed, rounds, scatter))))) <= 0.03


def test_drift_is_found_in_either_direction() -> None:
    ramp = np.linspace(1.0, 1.1, ROUNDS)
    assert share(lambda seed: "drift" in codes(list(noise(seed) * ramp))) >= 0.95
    assert share(lambda seed: "drift" in codes(list(noise(seed) / ramp))) >= 0.95
    change = disturbances.drift(list(ramp))
    assert change == pytest.approx(0.07, abs=0.01)


def test_a_drift_that_does_not_matter_is_none() -> None:
    assert disturbances.drift(list(np.linspace(1.0, 1.01, ROUNDS))) is None


def test_two_levels_are_found_with_their_shares() -> None:
    def two(seed: int) -> list[float]:
        upper = np.random.default_rng(seed + 1000).permutation(ROUNDS) < 12
        return list(noise(seed) * np.where(upper, 1.3, 1.0))

    assert share(lambda seed: "two-levels" in codes(two(seed))) >= 0.9
    found = disturbances.levels(two(0))
    assert found is not None
    assert (found.lower_s, found.upper_s, found.upper_share) == pytest.approx((1.0, 1.3, 0.4), rel=0.02)


def test_heavy_tails_are_not_two_levels() -> None:
    def tailed(seed: int) -> list[float]:
        return [float(each) for each in 1 + 0.05 * np.random.default_rng(seed).lognormal(size=ROUNDS)]

    assert share(lambda seed: disturbances.levels(tailed(seed)) is not None) <= 0.03


def test_outliers_are_counted_and_stay() -> None:
    many = [1.0, 1.01, 0.99, 1.02, 0.98] * 20
    assert codes(many) == []
    assert codes([*many, *[1.5] * 6]) == ["outliers"]
    assert codes([*many, 6.0]) == ["outliers"]  # one, but large
    assert codes([*many, *[1.5] * 5]) == []
    assert codes([1.0, 1.01, 0.99, 1.02, 0.98, 1.5]) == []  # one of six is many, but it is one
    assert disturbances.outliers([*many, 3.0]) == (1, 101, 3.0)
    assert disturbances.outliers([*many, 0.1]).far == 0  # a fast sample is no disturbance


def test_device_time_beyond_wall_time_is_told_where_the_intervals_show_it() -> None:
    def found(device: np.ndarray, wall: np.ndarray) -> list[str]:
        result = replace(samples.pass_result(1e-3, 0), device_s=tuple(device), wall_s=tuple(wall), per_round=1)
        return [notice.code for notice in disturbances.notices({"step": result})]

    assert found(noise(1) * 1.2, noise(2)) == ["device-over-wall"]
    assert found(noise(1) * 1.02, noise(2)) == []  # little
    assert found(noise(1, scatter=0.5) * 1.2, noise(2, scatter=0.5)) == []  # within the scatter
    assert found(noise(1), noise(2) * 1.2) == []


def test_a_warning_names_the_pass_and_says_what_to_do() -> None:
    ramp = tuple(np.linspace(1.0, 1.2, ROUNDS))
    result = replace(samples.pass_result(1e-3, 0), device_s=ramp, wall_s=ramp, per_round=1)
    [notice] = disturbances.notices({"step": result})
    assert (notice.code, notice.pass_name) == ("drift", "step")
    assert notice.numbers == {"change": pytest.approx(0.134, abs=0.001)}
    assert worded(notice).startswith("step: device time drifted by +13% from the first rounds to the last")
    assert "rerun" in worded(notice)


def test_rounds_are_what_drifts_and_not_the_iterations_in_them() -> None:
    assert codes([1.0, 1.1, 1.2] * ROUNDS, per_round=3) == []


# ---------------------------------------------------------------------------------------------------- the machine


def ticking(*moments: load.Ticks | None) -> Callable[[object], load.Ticks | None]:
    left = list(moments)
    return lambda _pids: left.pop(0) if left else None


def test_shares_are_of_all_cpu_time_and_without_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "ticks", ticking(load.Ticks(1000, 500, 10, 100), load.Ticks(2000, 900, 60, 400)))
    watch = load.Watch("cpu")
    watch.start([])
    found = watch.conditions([])
    # 1000 ticks: 400 idle, 50 stolen, so 550 busy, of which 300 ours
    assert (found.others_share, found.stolen_share) == (0.25, 0.05)
    assert [notice.code for notice in load.notices(found)] == ["other-load", "stolen-time"]


@pytest.mark.parametrize(
    ("device", "ours", "code"), [("cpu", 300, "busy-machine"), ("cpu", 301, "other-load"), ("gpu", 300, "other-load")]
)
def test_timed_cpus_that_others_use_by_more_than_a_quarter_are_busy(
    monkeypatch: pytest.MonkeyPatch, device: Any, ours: int, code: str
) -> None:
    """A GPU's times do not hang on the host's CPUs like that."""
    moments = load.Ticks(1000, 500, 0, 100), load.Ticks(2000, 949, 0, 100 + ours)
    monkeypatch.setattr(load, "ticks", ticking(*moments))
    watch = load.Watch(device)
    watch.start([])
    found = watch.conditions([])
    assert found.others_share == (551 - ours) / 1000
    assert [notice.code for notice in load.notices(found)] == [code]


def test_with_a_replaced_worker_nobody_knows_whose_the_load_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "ticks", ticking(load.Ticks(1000, 500, 0, 100), load.Ticks(2000, 900, 0, 10)))
    watch = load.Watch("cpu")
    watch.start([7, 8])
    assert watch.conditions([7, 9]).others_share is None


def test_a_system_that_does_not_say_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "ticks", ticking(None, None))
    watch = load.Watch("cpu")
    watch.start([])
    assert watch.conditions([]) == Conditions()
    assert load.notices(Conditions()) == ()


def test_our_own_work_is_not_other_load() -> None:
    watch = load.Watch("cpu")
    watch.start([])
    before = load.ticks([])
    while True:  # at least 20 ticks of our own, in a time long enough for shares
        sum(range(100_000))
        after = load.ticks([])
        assert before is not None
        assert after is not None
        if after.ours - before.ours >= 20 and after.total - before.total >= 2 * load.LEAST_TICKS:
            break
    assert after.total > before.total
    assert watch.conditions([]).others_share is not None


class Nvml(SimpleNamespace):
    NVMLError = type("NVMLError", (Exception,), {})
    NVML_CLOCK_SM = 1

    def __init__(self, clocks: list[int], reasons: int) -> None:
        super().__init__(clocks=clocks, reasons=reasons, opened=[])

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self.opened.append(index)
        return index

    def nvmlDeviceGetClockInfo(self, _handle: int, _kind: int) -> int:  # noqa: N802
        if not self.clocks:
            raise self.NVMLError
        return self.clocks.pop(0)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: int) -> int:  # noqa: N802
        return int(self.reasons)


def watched(monkeypatch: pytest.MonkeyPatch, nvml: object, looks: int) -> Conditions:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(load, "ticks", ticking(None, None))
    watch = load.Watch("gpu")
    watch.start([])
    for _ in range(looks):
        watch.look()
    return watch.conditions([])


def test_the_gpus_clock_and_what_slows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml([1980, 1700, 1900], reasons=0x01 | 0x04 | 0x40)  # idle is no throttle
    found = watched(monkeypatch, nvml, looks=3)
    assert nvml.opened == [1]
    assert (found.clock_min_mhz, found.clock_max_mhz) == (1700, 1980)
    assert found.throttles == ("power cap", "thermal, by hardware")
    assert [notice.code for notice in load.notices(found)] == ["clock-change", "throttled"]


def test_a_gpu_that_tells_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(monkeypatch, Nvml([], reasons=0), looks=2)
    assert found == Conditions()
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert load.Watch("gpu").conditions([]).clock_min_mhz is None
