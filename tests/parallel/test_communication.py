"""How long devices communicate, how much of that is hidden, and the least time that their link allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from compare import floor, ranks, rating, timeline
from compare.device_rate import Linked, LinkRate
from compare.messages import Failed
from compare.options import parse
from compare.records import Contender, Measurement, Problem
from compare.report import floor_words, markdown
from compare.report import format as fmt
from compare.scaling import scaled
from compare.timeline import Allocation, Iteration, Span, Trace
from compare.traffic import sent_bytes
from tests import samples

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
    work = [Span("a", 0, 60, 0), Span("b", 10, 50, 1), Span("c", 70, 95, 1), Span(NCCL, 60, 65, 0)]
    [one] = timeline.iterations(Trace([Span("step", 0, 100)], work, []))
    assert round(one.device_s * 1e9) == 65  # and neither 95, all devices together, nor 130, their sum
    assert {kernel.name for kernel in timeline.kernels(one)} == {"a", NCCL}
    assert one.kernels == {"a": 1, "b": 1, "c": 1, NCCL: 1}  # all must be there in each iteration
    assert [round(each * 1e9) for each in timeline.communication(one)] == [5, 0]


def test_the_peak_is_that_of_the_fullest_device() -> None:
    taken = [Allocation(1, 100, 0), Allocation(2, 70, 1), Allocation(3, -100, 0), Allocation(4, 70, 1)]
    assert timeline.peak_and_rest(Trace([Span("step", 0, 9)], [], taken), "step") == (140, 140)


def test_the_slowest_process_tells_the_rate_of_the_link() -> None:
    assert ranks.merged([Linked(bytes_per_s=3.0), Linked(bytes_per_s=2.0)]) == Linked(bytes_per_s=2.0)


def test_a_device_of_two_does_half_of_the_work() -> None:
    whole, half = (floor.work(variant, each, "step") for variant, each in (("fused_flash", ONE), ("ring", TWO)))
    assert whole
    assert half
    assert (half.flops, half.size_bytes) == (whole.flops // 2, whole.size_bytes // 2)


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

        def lay_over(self, devices: int) -> None:
            self.devices = devices

        def ask_fresh(self, contender: Contender, *_: object) -> Linked | Failed:
            asked.append((self.devices, contender.backend))
            broken = Failed(status="ERROR", stage="link", reason="no link")
            return broken if contender.backend == "jax" else Linked(bytes_per_s=7.0)

    monkeypatch.setattr(rating, "Fleet", Answering)
    words = ["--contender", "torch:ring:eager", "--contender", "jax:ring", "--device", "cpu", "--heads", "2"]
    _, plan = parse([*words, "--devices", "4", "1", "2", "--out", str(tmp_path / "out")])
    assert plan
    found = list(rating.linked(plan, tmp_path))
    assert asked == [(2, "torch"), (2, "jax"), (4, "torch"), (4, "jax")]
    assert [(each.devices, each.bytes_per_s, each.reason) for each in found[:2]] == [(2, 7.0, ""), (2, None, "no link")]
    assert floor_words.link_line(found[1]) == "2 devices: no rate of their links, no link"
