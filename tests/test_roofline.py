"""Bytes and FLOPs by hand, what a row reached of its bound, and what reports say where something is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from compare.analysis import roofline
from compare.analysis.roofline import Rates
from compare.machine import memory
from compare.maths.traffic import Work, work
from compare.profile.kinds import NOT_NAIVE
from compare.render import markdown
from compare.results import store
from compare.schema.records import Contender, DeviceRate, Measurement, Notice, PassName, Problem, Row, Run
from tests import samples
from tests.reports.rendered import HOSTILE, printed
from tests.samples import EAGER, JAX, described, measurement, problem

GB, TFLOP = 1e9, 1e12
# B=2, T=8, S=12, N=4, K=2, H=4, bfloat16: scores 2*4*8*12*2 = 1536 B; q, out 2*8*4*4*2 = 512 B; k, v 2*12*2*4*2 = 384 B
GROUPED = problem(8, 4, 2, kv_len=12, heads=4, kv_heads=2, dtype="bfloat16", matmul_precision="default")


def rate(
    backend: str = "jax", copy: float | None = 200 * GB, matmul: float | None = 2 * TFLOP, **other: Any
) -> DeviceRate:
    fields = {"dtype": "float32", "matmul_precision": "ieee", "copy_bytes_per_s": copy, "matmul_flops_per_s": matmul}
    return DeviceRate(backend=backend, **(fields | other))


def run(*rates: DeviceRate) -> Run:
    return replace(samples.run(), rates=rates)


def part(rows: list[Row], *rates: DeviceRate) -> str:
    return markdown.render(run(*rates), rows).split("## Roofline\n", 1)[1].split("\n## ", 1)[0]


def work_of(where: Problem, name: PassName, variant: str = "naive") -> Work:
    found = work(where, name, described(variant))
    assert found is not None
    return found


def counted(where: Problem, name: PassName, variant: str = "naive") -> tuple[int, int]:
    """Bytes and FLOPs."""
    found = work_of(where, name, variant)
    return found.size_bytes, found.flops


def test_the_counts_of_grouped_heads_and_other_key_lengths_by_hand() -> None:
    flops = 2 * 2 * 4 * 8 * 12 * 4  # of one product
    once = 512 + 2 * 384 + 512  # q, k, v and the output
    assert counted(GROUPED, "forward", "naive") == (4 * 1536 + once, 2 * flops)
    assert counted(GROUPED, "backward", "naive") == (7 * 1536 + once + 512 + 2 * 384, 4 * flops)
    assert counted(GROUPED, "step", "naive") == (11 * 1536 + 2 * once + 512 + 2 * 384, 6 * flops)


def test_a_large_problem_is_bound_by_four_and_seven_passes() -> None:
    large = problem(4096, 64, 8, dtype="bfloat16", matmul_precision="default")
    rates = Rates(3e12, 1e15)
    forward, backward = (roofline.bound(work_of(large, name), rates) for name in ("forward", "backward"))
    assert forward == (pytest.approx(0.36e-3, rel=0.03), "memory")
    assert backward == (pytest.approx(0.63e-3, rel=0.03), "memory")


def test_what_a_fused_variant_does_is_what_the_mask_shows() -> None:
    causal = replace(GROUPED, kv_len=8, mask="causal")
    flops = 2 * 2 * 4 * 4 * 36  # of one product: 36 of 64 scores a head
    once = 512 + 2 * 256 + 512
    assert counted(causal, "forward", "fused_flash") == (once, 2 * flops)
    assert counted(causal, "backward", "fused_chunked") == (once + 512 + 2 * 256, 5 * flops)
    assert counted(replace(causal, layers=3), "forward", "fused_cudnn") == (3 * once, 6 * flops)


def test_checkpointing_adds_a_product_and_three_passes_to_the_training_passes() -> None:
    plain, again = (work_of(GROUPED, "backward", variant) for variant in ("naive", "checkpoint"))
    assert again.size_bytes == plain.size_bytes + 3 * 1536
    assert again.flops == plain.flops + 2 * 2 * 4 * 8 * 12 * 4
    assert work_of(GROUPED, "forward", "checkpoint") == work_of(GROUPED, "forward")


def test_a_sparse_variant_is_counted_by_the_blocks_that_it_computes() -> None:
    """Of T=256 keys, in blocks of 32 queries, each meets its own block and two before it: a window of 64."""
    windowed = problem(256, 16, 1, mask="window:64")
    dense, sparse = (work_of(windowed, "forward", variant) for variant in ("naive", "window"))
    assert sparse.flops == dense.flops * 3 * 32 // 256
    assert dense.size_bytes - sparse.size_bytes == 4 * 4 * (256 * 256 - 256 * 96)


def test_what_a_choosing_variant_ran_is_what_is_counted() -> None:
    row = replace(
        measurement(problem()), contender=Contender(backend="jax", variant="fused", mode="jit"), ran="fused_chunked"
    )
    assert roofline.achieved(row, "forward", Rates(1e9, 1e9)) is not None
    assert roofline.achieved(replace(row, ran=""), "forward", Rates(1e9, 1e9)) is None


def test_the_mask_does_not_change_what_naive_attention_does() -> None:
    assert work_of(problem(64), "step") == work_of(problem(64, mask="causal"), "step")


def test_a_variant_without_a_count_has_no_figure() -> None:
    other = Contender(backend="jax", variant="naive2", mode="jit")
    assert work(problem(), "step", described("naive2")) is None
    assert roofline.achieved(measurement(problem(), other), "step", Rates(1e9, 1e9)) is None
    assert "| `jax:naive2:jit` | forward | – | – | – | – | – |" in part([measurement(problem(), other)], rate())
    assert "not counted" in part([measurement(problem(), other)], rate())


def test_rates_of_a_busy_device_say_so() -> None:
    assert "took 1.54x as long in the median as the fastest" in roofline.rate_line(rate(scatter=0.54))
    assert "as long" not in roofline.rate_line(rate(scatter=0.1))
    assert "as long" not in roofline.rate_line(rate())  # of an older file


def test_what_a_pass_reached() -> None:
    row, count = measurement(problem(), time_s=2e-3), work_of(problem(), "forward")
    by_memory = roofline.achieved(row, "forward", Rates(count.size_bytes / 1e-3, count.flops / 1e-4))
    by_compute = roofline.achieved(row, "forward", Rates(count.size_bytes / 1e-4, count.flops / 1.5e-3))
    assert by_memory
    assert by_compute
    assert by_memory.bytes_per_s == pytest.approx(count.size_bytes / 2e-3)
    assert by_memory.flops_per_s == pytest.approx(count.flops / 2e-3)
    assert (by_memory.bound_s, by_memory.bound, by_memory.share) == (pytest.approx(1e-3), "memory", pytest.approx(0.5))
    assert (by_compute.bound, by_compute.share) == ("compute", pytest.approx(0.75))


def test_what_fits_the_cache_four_times_has_no_memory_time() -> None:
    count, scores = work_of(problem(), "forward"), 4 * 1024 * 1024 * 4
    slow_memory = Rates(1.0, count.flops / 1e-3)
    assert roofline.bound(count, slow_memory) == (pytest.approx(count.size_bytes), "memory")
    inputs_alone = replace_cache(slow_memory, count.once_bytes // 4 + 1)
    assert roofline.bound(count, inputs_alone) == (pytest.approx(4 * scores), "memory")
    assert roofline.bound(count, replace_cache(slow_memory, scores // 4 + 1)) == (pytest.approx(1e-3), "compute")
    assert "compute, in cache |" in part([measurement(problem())], rate(cache_bytes=scores))
    assert "in cache" not in part([measurement(problem())], rate())


def test_a_long_cache_of_keys_is_read_from_memory_however_small_the_scores() -> None:
    decode = problem(1, 128, 32, kv_len=8192, heads=32, kv_heads=8, dtype="bfloat16", matmul_precision="default")
    count = work_of(decode, "forward")
    found = roofline.bound(count, Rates(3e12, 7e14, 50 * 10**6))
    assert found == (pytest.approx(count.once_bytes / 3e12), "memory")


def replace_cache(rates: Rates, cache_bytes: int) -> Rates:
    return Rates(rates.copy_bytes_per_s, rates.matmul_flops_per_s, cache_bytes)


def test_the_better_backend_makes_the_bound_in_its_own_dtype_and_precision() -> None:
    other = rate("torch", 900 * GB, 9 * TFLOP, matmul_precision="tf32")
    found = roofline.best_rates(
        [rate("jax", 50 * GB, 2 * TFLOP), rate("torch", 60 * GB, TFLOP), other], "float32", "ieee"
    )
    assert found == Rates(60 * GB, 2 * TFLOP, None)
    assert roofline.best_rates([other], "bfloat16", "default") == Rates()


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_cannot_be_is_none(bad: float | None) -> None:
    assert roofline.best_rates([rate(copy=bad, matmul=bad)], "float32", "ieee") == Rates()
    text = part([measurement(problem())], rate(copy=bad))
    assert "| forward | 71.3 | 1.07 | – | – | – |" in text
    assert "are missing" in text


def test_without_rates_there_are_dashes_and_a_word() -> None:
    rows = [measurement(problem()), samples.skip(problem())]
    assert "were not measured" in part(rows)
    assert "| forward | 71.3 | 1.07 | – | – | – |" in part(rows)
    assert "No row has numbers that agree." in part([])
    assert "\nRoofline" not in printed(rows, 80)


@pytest.mark.parametrize("device_s", [(), (0.0,) * 30])
def test_a_pass_without_a_time_has_no_figure(device_s: tuple[float, ...]) -> None:
    row = measurement(problem())
    row = replace(row, passes={"forward": replace(row.passes["forward"], device_s=device_s)})
    assert roofline.achieved(row, "forward", Rates(1e9, 1e9)) is None
    assert roofline.achieved(row, "step", Rates(1e9, 1e9)) is None


def fused(name: str, **other: Any) -> Measurement:
    return measurement(problem(), warnings=(Notice(code=NOT_NAIVE, pass_name=name, names=("fused",)),), **other)


def test_more_than_the_bound_allows_says_why() -> None:
    slow = rate(copy=1 * GB)
    text = part([fused("forward"), measurement(problem(), EAGER)], slow)
    assert text.count("memory, not naive |") == 1
    assert text.count("memory, over 100% |") == 5
    assert "- not naive: the compiler fused this pass" in text
    assert "- over 100%: faster than the count allows" in text
    assert "over 100% |" not in part([measurement(problem())], rate())


def test_the_nearest_pass_is_one_that_did_the_work_and_agrees() -> None:
    rows = [fused("forward"), measurement(problem(), EAGER, 1e-5, agreement=samples.agreement(False))]
    found = roofline.nearest(roofline.reached(rows, [rate()]))
    assert {contender: each.pass_name for contender, each in found.items()} == {JAX: "backward"}


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_says_rates_and_the_best_of_each_contender(width: int) -> None:
    text = printed(samples.nine_problems(), width, run(rate(), rate("torch", 120 * GB, reason="")))
    assert max(map(len, text.splitlines())) <= width
    said = " ".join(text.split())
    assert "jax, float32 ieee: copies 200 GB/s, multiplies 2.00 TFLOP/s" in said
    assert "torch:naive:compile: at best" in said


def test_hostile_reasons_have_no_power() -> None:
    bad = rate(HOSTILE, None, None, reason=HOSTILE)
    text = part([measurement(problem())], bad)
    assert "<script>" not in text
    assert "\x1b" not in text + printed([measurement(problem())], 80, run(bad))
    [line] = [line for line in text.splitlines() if "float32 ieee" in line and "alert" in line]
    assert line.count("|") - line.count(r"\|") == 7


def test_old_files_have_no_rates_and_new_ones_come_back(tmp_path: Path) -> None:
    path = tmp_path / store.RESULTS
    store.Log(path).append(run(rate(reason="why")))
    assert store.read(path)[0].rates == (rate(reason="why"),)
    path.write_text(path.read_text().split(',"rates"')[0] + "}\n")
    assert store.read(path)[0].rates == ()


def cache(folder: Path, cpu: int, level: int, size: str, shared: str) -> None:
    index = folder / f"cpu{cpu}" / "cache" / f"index{level}"
    index.mkdir(parents=True)
    for name, text in {"level": str(level), "size": size, "shared_cpu_list": shared}.items():
        (index / name).write_text(text + "\n")


def test_the_last_level_counts_each_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    for cpu, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        cache(tmp_path, cpu, 2, "1M", str(cpu))
        cache(tmp_path, cpu, 3, "32768K", shared)
    assert memory.last_level_bytes("cpu", tmp_path) == 2 * 2**25
    assert memory.last_level_bytes("cpu", tmp_path / "nowhere") is None
    cache(tmp_path / "bad", 0, 3, "much", "0")
    assert memory.last_level_bytes("cpu", tmp_path / "bad") is None
