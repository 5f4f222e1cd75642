"""How long devices communicate, how much of that is hidden, and the least time that their link allows."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from compare.analysis import roofline
from compare.analysis import text as fmt
from compare.analysis.scaling import scaled
from compare.maths import traffic, zigzag
from compare.maths.traffic import sent_bytes, work
from compare.measure import rates as rating
from compare.measure.runner import OneProcess
from compare.profile import timeline
from compare.profile.timeline import Allocation, Iteration, Span, Trace
from compare.render import markdown
from compare.results import merging
from compare.schema.records import Contender, Linked, LinkRate, Measurement, Problem
from compare.worker import known_work, ranks
from compare.worker.protocol import Failed
from tests import samples
from tests.planned import parse

ONE = samples.problem(q_len=64, kv_len=64, mask="causal")
TWO = replace(ONE, devices=2)
NCCL = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"


def iteration(*work: Span) -> Iteration:
    return Iteration("step", 1e-9, 1e-9, work)


def test_what_is_sent_while_the_device_computes_is_hidden() -> None:
    one = iteration(Span("gemm", 0, 60), Span(NCCL, 40, 100), Span("gemm", 120, 130), Span(NCCL, 125, 128))
    sent_s, hidden_s = timeline.communication(one)
    assert (round(sent_s * 1e9), round(hidden_s * 1e9)) == (63, 23)
    assert timeline.communication(iteration(Span("gemm", 0, 60))) == (0, 0)


def test_of_several_devices_in_one_trace_the_busiest_counts() -> None:
    work = [Span("a", 0, 60, 0), Span("a", 10, 50, 1), Span("c", 62, 85, 1), Span(NCCL, 60, 65, 0)]
    [one] = timeline.iterations(Trace([Span("step", 0, 100)], work, []))
    assert round(one.device_s * 1e9) == 65  # and neither 85, all devices together, nor 128, their sum
    assert {kernel.name: kernel.count for kernel in timeline.kernels(one)} == {"a": 1, NCCL: 1}
    assert one.kernels == {"a": 2, "c": 1, NCCL: 1}  # all must be there in each iteration
    assert [round(each * 1e9) for each in timeline.communication(one)] == [5, 0]


def test_the_peak_is_that_of_the_fullest_device() -> None:
    taken = [Allocation(1, 100, 0), Allocation(2, 70, 1), Allocation(3, -100, 0), Allocation(4, 70, 1)]
    assert timeline.peak_and_rest(Trace([Span("step", 0, 9)], [], taken), "step") == (140, 140)
    kept = [*taken, Allocation(5, 30, 0)]
    assert timeline.peak_and_rest(Trace([Span("step", 0, 9)], [], kept), "step") == (140, 140)  # not 170


def test_the_slowest_process_tells_the_rate_of_the_link() -> None:
    assert ranks.merged([Linked(bytes_per_s=3.0), Linked(bytes_per_s=2.0)]) == Linked(bytes_per_s=2.0)


def test_a_device_of_two_does_half_of_the_work() -> None:
    whole, half = (
        work(each, "step", samples.described(variant)) for variant, each in (("fused_flash", ONE), ("ring", TWO))
    )
    assert whole
    assert half
    assert (half.flops, half.size_bytes) == (whole.flops // 2, whole.size_bytes // 2)
    matrices = [traffic.of_scores(each, "step", 1.0, traffic.SCORE_PASSES["step"], 6) for each in (ONE, TWO)]
    assert matrices[1].size_bytes == matrices[0].size_bytes // 2


def row(problem: Problem, variant: str, time_s: float) -> Measurement:
    found = samples.measurement(problem, replace(samples.EAGER, variant=variant))
    several = {"communication_s": time_s / 2, "hidden_s": time_s / 8} if problem.devices > 1 else {}
    passes = {
        name: replace(each, device_s=(time_s,) * len(each.device_s), **several) for name, each in found.passes.items()
    }
    return replace(found, passes=passes)


@pytest.mark.parametrize(("link_s", "least_s"), [(1e-3, 2e-3), (3e-3, 3e-3)])
def test_the_least_time_is_half_of_one_device_s_or_that_of_the_link(link_s: float, least_s: float) -> None:
    sent = sent_bytes("ring", TWO, "forward")
    assert sent
    link = LinkRate(backend="torch", devices=2, bytes_per_s=sent / link_s)
    slower = LinkRate(backend="jax", devices=2, bytes_per_s=sent / link_s / 9)
    rows = [row(ONE, "fused", 4e-3), row(TWO, "ring", 5e-3)]
    [found] = scaled(rows, [link, slower, LinkRate(backend="jax", devices=2, reason="no")])
    assert found.least_s["forward"] == pytest.approx(least_s)
    assert scaled(rows)[0].least_s == {}
    page = markdown.render(replace(samples.run(), links=(link, slower)), rows)
    [line] = [each for each in page.splitlines() if "| 2 | forward |" in each]
    assert f"| 2.50 | 25% | {fmt.megabytes(sent)} | {least_s * 1e3:.2f} ({least_s / 5e-3:.0%}) |" in line


def test_each_number_of_devices_is_asked_for_its_link_and_one_alone_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[int, str]] = []

    class Answering:
        def __init__(self, *_: object) -> None:
            self.devices = 1

        def set_devices(self, devices: int) -> None:
            self.devices = devices

        def ask_fresh(self, contender: Contender, *_: object) -> Linked | Failed:
            asked.append((self.devices, contender.backend))
            broken = Failed(status="ERROR", stage="link", reason="no link")
            return broken if contender.backend == "jax" else Linked(bytes_per_s=7.0)

    monkeypatch.setattr(rating, "Fleet", Answering)
    words = ["--contender", "torch:ring:eager", "--contender", "jax:ring", "--device", "cpu", "--heads", "2"]
    _, plan = parse([*words, "--devices", "4", "1", "2", "--out", str(tmp_path / "out")])
    assert plan
    assert not list(rating.linked(plan, tmp_path)) + asked  # simulated devices have no link
    found = list(rating.linked(replace(plan, settings=replace(plan.settings, device="gpu")), tmp_path))
    assert asked == [(2, "torch"), (2, "jax"), (4, "torch"), (4, "jax")]
    assert [(each.devices, each.bytes_per_s, each.reason) for each in found[:2]] == [(2, 7.0, ""), (2, None, "no link")]
    assert roofline.link_line(found[1]) == "2 devices: the bandwidth of their links is unknown, no link"


def test_the_rate_of_a_link_is_that_of_the_fastest_try(monkeypatch: pytest.MonkeyPatch) -> None:
    class Devices:
        count = 3

        def meet(self) -> None: ...

        def put(self, array: Any, dtype: str) -> Any:
            self.shape = array.shape
            return array

        def shifted(self, array: Any) -> Any:
            return array

    class Watch:
        def __init__(self) -> None:
            self.seconds = [9.0, 2.0, 5.0]

        def __call__(self) -> Any:
            return nullcontext()

    monkeypatch.setattr(known_work, "Stopwatch", Watch)
    session = SimpleNamespace(devices=(devices := Devices()), adapter=SimpleNamespace(block=lambda value: value))
    size = 4 * known_work.RANDOM_NUMBERS * 6
    assert known_work.linked(session, size) == size * known_work.LINK_CALLS / 2.0  # type: ignore[arg-type]
    assert devices.shape == (1, 3 * 6, 1, known_work.RANDOM_NUMBERS)


@pytest.mark.parametrize(("devices", "fused", "skipped"), [(1, True, True), (1, False, False), (2, True, False)])
def test_on_one_device_a_shared_variant_gives_way_to_fused(devices: int, fused: bool, skipped: bool) -> None:
    ring, alone = (replace(samples.EAGER, variant=variant) for variant in ("ring", "fused"))
    runner = OneProcess.__new__(OneProcess)
    runner._missing_mode = lambda contender: None  # type: ignore[method-assign]
    said = runner._refusal(replace(ONE, devices=devices), ring, [ring, alone] if fused else [ring])
    assert (said == "on one device this is torch:fused:eager, which is measured here") == skipped
    assert skipped or not said


def test_the_better_of_two_links_is_merged() -> None:
    broken, known = (LinkRate(backend="jax", devices=2, bytes_per_s=rate) for rate in (None, 5.0))
    runs = [replace(samples.run(), links=(each,)) for each in (broken, known)]
    assert merging.joined(runs, "").links == merging.joined(runs[::-1], "").links == (known,)


def test_heads_go_in_groups_that_share_their_key_heads() -> None:
    assert [zigzag.head_groups(heads) for heads in (1, 2, 6, 8, 12, 64)] == [1, 2, 2, 8, 4, 8]
