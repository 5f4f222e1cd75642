"""Nsight Compute's table, the matching of kernels, and the gaps of a window, on material made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.second_opinion import gpu_check, ncu
from benchmarks.second_opinion.cases import Task
from benchmarks.second_opinion.driver import MARK
from benchmarks.second_opinion.gaps import FIRST, LAST, Gap, by_window, gaps, uncovered
from benchmarks.second_opinion.gpu import NCU_CALLS, Ours
from benchmarks.second_opinion.ncu import Pair, Timed
from benchmarks.second_opinion.sheets import NOT, OK, REPORTED, Sheet, page, verdict
from compare.profile.timeline import Span, Trace, union_length
from compare.schema.records import Case, Contender, Problem

HEAD = '"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","gpu__time_duration.sum"'
SOFTMAX = "void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, float>(T2 *, const T1 *, int)"


def raw(*rows: tuple[int, str, str], unit: str = "ns") -> str:
    """A raw page as Nsight Compute logs it."""
    body = [f'"{at}","77","python3","host","{name}","1","7","{value}"' for at, name, value in rows]
    progress = ["==PROF== Connected to process 77 (python3)", '==PROF== Profiling "gemm" - 0: 0%....100% - 1 pass']
    return "\n".join([*progress, HEAD, f'"","","","","","","","{unit}"', *body, "==PROF== Disconnected"]) + "\n"


def test_a_raw_page_is_read_in_the_order_of_launch_in_seconds() -> None:
    text = raw((1, SOFTMAX, "51,200"), (0, "gemm", "1,234,567"), (10, "gemm", "90.5"))
    assert ncu.read(text) == [
        Timed("gemm", pytest.approx(1.234567e-3)),
        Timed(SOFTMAX, pytest.approx(51.2e-6)),
        Timed("gemm", pytest.approx(90.5e-9)),
    ]


@pytest.mark.parametrize(("unit", "seconds"), [("nsecond", 2e-9), ("us", 2e-6), ("usecond", 2e-6), ("msecond", 2e-3)])
def test_the_row_of_units_counts(unit: str, seconds: float) -> None:
    assert ncu.read(raw((0, "gemm", "2"), unit=unit))[0].device_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("==ERROR== ERR_NVGPUCTRPERM - no permission\n", "no table"),
        (raw((0, "gemm", "2"), unit="cycle"), "'cycle'"),
        (raw((0, "gemm", "2")).replace("gpu__time_duration.sum", "gpu__time_duration.avg"), "no column"),
    ],
)
def test_what_is_no_table_of_durations_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ncu.read(text)


def test_marks_part_the_calls_and_what_came_before_the_first_is_dropped() -> None:
    names = ["early", MARK, "a", "b", f"{MARK}()", "c", MARK]
    found = ncu.calls([Timed(name, 1.0) for name in names], MARK)
    assert [[kernel.name for kernel in call] for call in found] == [["a", "b"], ["c"], []]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SOFTMAX, "void at::native::<unnamed>::cunn_SoftMaxForward<(int)4, float>(T2*, const T1*, int)"),
        (SOFTMAX, "cunn_SoftMaxForward"),
        ("loop_multiply_fusion_2", "loop_multiply_fusion_2"),
        (
            "_ZN7cutlass7Kernel2I20cutlass_80_tensoropEEvNT_6ParamsE",
            "void cutlass::Kernel2<cutlass_80_tensorop>(T1::Params)",
        ),
    ],
)
def test_one_kernel_under_two_spellings(ours: str, theirs: str) -> None:
    assert ncu.same(ours, theirs)
    assert ncu.same(theirs, ours)


@pytest.mark.parametrize("other", ["loop_multiply_fusion_21", "loop_multiply_fusion", "triton_poi_fused_add_0"])
def test_other_kernels_are_others(other: str) -> None:
    assert not ncu.same("loop_multiply_fusion_2", other)


def timed(*kernels: tuple[str, float]) -> list[Timed]:
    return [Timed(*kernel) for kernel in kernels]


def test_kernels_are_matched_by_name_and_turn_and_copies_left_out() -> None:
    ours = timed(("Memset (Device)", 1.0), ("gemm", 2.0), ("softmax", 3.0), ("gemm", 4.0))
    theirs = timed(("softmax", 30.0), ("gemm", 20.0), ("gemm", 40.0))
    pairs, alone = ncu.match(ours, theirs)
    assert pairs == [Pair("gemm", 2.0, 20.0), Pair("softmax", 3.0, 30.0), Pair("gemm", 4.0, 40.0)]
    assert alone == []
    assert pairs[0].ratio == pytest.approx(0.1)


def test_a_kernel_that_one_side_did_not_see_is_named() -> None:
    pairs, alone = ncu.match(timed(("a", 1.0), ("b", 1.0), ("b", 1.0)), timed(("b", 1.0), ("c", 1.0)))
    assert [pair.name for pair in pairs] == ["b"]
    assert alone == ["only ours: a", "only ours: b", "only Nsight Compute's: c"]


def test_a_usual_call_has_the_median_at_each_place_of_the_calls_that_ran_what_most_ran() -> None:
    alike = [timed(("a", x), ("b", 10 * x)) for x in (1.0, 2.0, 9.0)]
    assert ncu.usual([*alike, timed(("b", 7.0), ("a", 7.0))], 3) == timed(("a", 2.0), ("b", 20.0))
    with pytest.raises(ValueError, match=r"expected 4 calls .* got 3"):
        ncu.usual([*alike, timed(("a", 1.0))], 4)
    with pytest.raises(ValueError, match="got 0"):
        ncu.usual([], 1)


PROPERTY = settings(max_examples=200, deadline=None)
works = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=10)


@PROPERTY
@given(works)
def test_gaps_and_the_union_of_work_make_up_the_window(drawn: list[tuple[int, int]]) -> None:
    window = Span("forward", 20, 80)
    work = [Span(str(at), start, start + length) for at, (start, length) in enumerate(drawn)]
    inside = union_length((max(20, min(80, s.start_ns)), max(20, min(80, s.end_ns))) for s in work)
    assert sum(gap.length_ns for gap in gaps(window, work)) + inside == 60


def test_a_gap_is_named_by_the_last_to_end_and_the_next_to_start() -> None:
    work = [Span("outer", 10, 40), Span("inner", 15, 20), Span("next", 50, 60), Span("nested", 50, 55)]
    assert gaps(Span("w", 0, 100), work) == [Gap(FIRST, "outer", 10), Gap("outer", "next", 10), Gap("next", LAST, 40)]


def test_gaps_are_added_up_by_neighbours_and_the_longest_comes_first() -> None:
    def iteration(start: int, slack: int) -> list[Span]:
        ends = [Span("a", start, start + 10), Span("b", start + 12, start + 20), Span("a", start + 20, start + 30)]
        return [*ends, Span("b", start + 33, start + 100 - slack)]

    windows = [Span("w", 0, 100), Span("w", 200, 300), Span("w", 400, 500)]
    work = [span for start, slack in ((0, 4), (200, 7), (400, 50)) for span in iteration(start, slack)]
    first, second = uncovered(by_window(Trace(windows, work, [])))
    assert (first.before, first.after, first.count, round(first.total_s * 1e9)) == ("b", LAST, 1, 7)
    assert (second.before, second.after, second.count, round(second.total_s * 1e9)) == ("a", "b", 2, 5)
    assert "after the last op, b" in first.text
    assert "between a and b" in second.text
    assert "2 times" in second.text


def case(mode: str = "eager") -> Case:
    problem = Problem(
        batch=8,
        q_len=4096,
        kv_len=4096,
        heads=1,
        kv_heads=1,
        head_dim=64,
        mask="causal",
        dtype="bfloat16",
        matmul_precision="tf32",
        seed=0,
    )
    return Case(problem=problem, contender=Contender(backend="torch", variant="naive", mode=mode))


def ours(*kernels: tuple[str, float], long_run_s: float = 1.0) -> Ours:
    found = tuple(timed(*kernels))
    total = sum(kernel.device_s for kernel in found)
    return Ours(case=case(), pass_name="forward", device_s=total, kernels=found, long_run_s=long_run_s)


def test_a_pass_that_nsight_compute_sees_alike_is_ok_and_one_that_it_does_not_is_not() -> None:
    mine = [ours(("gemm", 100e-6), ("softmax", 60e-6)), ours(("gemm", 110e-6), ("softmax", 60e-6))]
    theirs = {"torch": [timed(("gemm", 101e-6), ("softmax", 60e-6))] * (2 * NCU_CALLS)}
    sums, kernels = gpu_check.nsight(mine, theirs)
    assert [row[-1] for row in sums.rows] == [OK, NOT]
    assert [row[-1] for row in kernels.rows] == [OK, OK, NOT, OK]


def test_short_kernels_are_reported_without_a_verdict() -> None:
    mine = [ours(("gemm", 40e-6), ("softmax", 10e-6))]
    sums, kernels = gpu_check.nsight(mine, {"torch": [timed(("gemm", 30e-6), ("softmax", 10e-6))] * NCU_CALLS})
    assert [row[-1] for row in sums.rows] == [REPORTED]
    assert kernels.rows == []


def test_a_kernel_that_only_one_saw_fails_its_pass() -> None:
    mine = [ours(("gemm", 100e-6), ("softmax", 60e-6))]
    sums, kernels = gpu_check.nsight(mine, {"torch": [timed(("gemm", 100e-6))] * NCU_CALLS})
    assert sums.failed == 1
    assert kernels.failed == 1


def test_long_runs_get_a_verdict_where_kernels_are_long() -> None:
    long, short = ("gemm", 100e-6), ("gemm", 20e-6)
    runs = [ours(long, long_run_s=101e-6), ours(long, long_run_s=104e-6), ours(short, long_run_s=40e-6)]
    assert [row[-1] for row in gpu_check.long_runs(runs).rows] == [OK, NOT, REPORTED]


def test_a_pass_without_numbers_fails() -> None:
    lost = Ours(case=case(), pass_name="forward", problem="24 windows refused")
    assert gpu_check.long_runs([lost]).failed == 1


def test_the_verdict_is_two_sided() -> None:
    assert [verdict(ratio, 0.03) for ratio in (0.96, 0.975, 1.025, 1.04)] == [NOT, OK, OK, NOT]


def test_a_page_has_every_cell_and_no_markup_of_foreign_names() -> None:
    sheet = Sheet("Title", ("kernel", ">us"), [("a|b<c>", "1.0")], ["remark"])
    text = page([sheet])
    assert "## Title" in text
    assert "a\\|b&lt;c&gt;" in text
    assert "| --- | ---: |" in text


def test_the_default_cases_on_a_gpu_are_over_twelve_in_both_frameworks() -> None:
    for backend, modes in (("jax", {"jit"}), ("torch", {"eager", "compile"})):
        found = list(Task("ours", backend, "gpu", (2048, 4096, 8192)).cases())
        assert len(found) == 6 * len(modes)
        assert {one.contender.mode for one in found} == modes
        assert {one.problem.dtype for one in found} == {"bfloat16", "float32"}
