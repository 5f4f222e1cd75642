"""Profiler events -> busy time and memory, on traces made by hand."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.profile.timeline import (
    Allocation,
    Iteration,
    Overlap,
    RefusedWindow,
    Span,
    Trace,
    check,
    iterations,
    kernels,
    peak_and_rest,
    self_ns,
    typical,
    union_length,
)
from compare.schema.records import Kernel

PROPERTY = settings(max_examples=200, deadline=None)
intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)).map(lambda x: (x[0], x[0] + x[1])), max_size=12)


def busy_ns(windows: list[Span], work: list[Span]) -> list[int]:
    return [round(each.device_s * 1e9) for each in iterations(Trace(windows, work, []))]


@PROPERTY
@given(intervals)
def test_union_is_the_number_of_covered_moments(spans: list[tuple[int, int]]) -> None:
    assert union_length(spans) == len({moment for start, end in spans for moment in range(start, end)})


@PROPERTY
@given(intervals, st.randoms(use_true_random=False))
def test_union_does_not_depend_on_order_or_repetition(spans: list[tuple[int, int]], chance: object) -> None:
    shuffled = spans * 2
    chance.shuffle(shuffled)
    assert union_length(shuffled) == union_length(spans)


def test_overlapping_and_nested_work_counts_once_and_gaps_not_at_all() -> None:
    work = [Span("outer", 10, 40), Span("inner", 15, 20), Span("overlap", 35, 50), Span("later", 70, 75)]
    assert busy_ns([Span("forward", 0, 100)], work) == [45]


def test_work_belongs_to_the_window_of_its_midpoint() -> None:
    windows = [Span("first", 0, 100), Span("second", 100, 200)]
    work = [Span("mostly first", 80, 110), Span("mostly second", 95, 115)]
    first, second = iterations(Trace(windows, work, []))
    assert [span.name for span in first.work] == ["mostly first"]
    assert [span.name for span in second.work] == ["mostly second"]


def test_work_outside_all_windows_is_not_counted() -> None:
    windows = [Span("a", 100, 200), Span("b", 300, 400)]
    work = [
        Span("before", 0, 90),
        Span("a", 110, 120),
        Span("between", 210, 290),
        Span("b", 310, 330),
        Span("z", 500, 600),
    ]
    assert busy_ns(windows, work) == [10, 20]


def test_windows_come_back_in_the_order_of_time_with_their_lengths() -> None:
    found = iterations(Trace([Span("late", 50, 90), Span("early", 0, 20)], [Span("k", 5, 6)], []))
    assert [(each.label, each.window_s) for each in found] == [("early", 2e-8), ("late", 4e-8)]
    assert [len(each.work) for each in found] == [1, 0]


def good(label: str = "forward", *names: str) -> Iteration:
    spans = tuple(Span(name, at * 10, at * 10 + 5) for at, name in enumerate(names or ("gemm", "softmax", "gemm")))
    return Iteration(label, len(spans) * 5e-9, 1e-6, spans)


def test_check_lets_equal_iterations_through() -> None:
    other_order = good("forward", "softmax", "gemm", "gemm")
    check([good(), other_order, good()], 3)


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        ([good()], 2, "expected 2 windows in the trace, got 1"),
        ([good(), good()], 1, "expected 1 windows in the trace, got 2"),
        ([], 1, "got 0"),
        ([Iteration("step", 0.0, 1e-6, ())], 1, "step: the profiler saw no device work"),
        ([Iteration("step", 0.0, 1e-6, (Span("mark", 5, 5),))], 1, "step: the profiler saw no device work"),
        ([Iteration("step", 2e-6, 1e-6, good().work)], 1, "0.000002 s of device time in a window of 0.000001 s"),
        (
            [good(), good("last", "gemm", "softmax")],
            2,
            "last: other kernels than in most iterations: missing {'gemm': 1}, extra none",
        ),
        ([good(), good("last", "gemm", "gemm", "softmax", "copy")], 2, "missing none, extra {'copy': 1}"),
    ],
)
def test_check_refuses_what_cannot_all_be_true(found: list[Iteration], expected: int, words: str) -> None:
    with pytest.raises(RefusedWindow, match=words):
        check(found, expected)


def test_the_typical_iteration_is_the_one_nearest_the_median() -> None:
    windows = [Span("w", at, at + 90) for at in (0, 100, 200)]
    work = [Span("op", at + 1, at + 1 + length) for at, length in ((0, 12), (100, 80), (200, 10))]
    found = typical(iterations(Trace(windows, work, [])))
    assert found is not None
    assert found.device_s * 1e9 == pytest.approx(12)
    assert typical([]) is None


def test_kernels_add_up_by_name_longest_first() -> None:
    work = (Span("softmax", 0, 30), Span("gemm", 30, 50), Span("gemm", 60, 80), Span("copy", 80, 81))
    assert kernels(Iteration("forward", 7.1e-8, 1e-7, work)) == (
        Kernel(name="gemm", count=2, device_s=4e-8),
        Kernel(name="softmax", count=1, device_s=3e-8),
        Kernel(name="copy", count=1, device_s=1e-9),
    )


def test_nested_ops_each_show_the_time_that_is_their_own() -> None:
    work = (Span("aten::matmul", 0, 50), Span("aten::view", 2, 4), Span("aten::bmm", 10, 40), Span("aten::add", 60, 70))
    assert {each.name: each.device_s for each in kernels(Iteration("forward", 6e-8, 1e-7, work))} == {
        "aten::bmm": 3e-8,
        "aten::matmul": 18e-9,
        "aten::add": 1e-8,
        "aten::view": 2e-9,
    }


def test_of_ops_side_by_side_the_later_one_has_the_moment_and_of_those_that_start_together_the_shorter() -> None:
    assert self_ns([Span("pool", 0, 10), Span("other thread", 6, 15)]) == [6, 9]
    assert self_ns([Span("whole", 0, 10), Span("inner", 0, 4), Span("inner", 0, 4), Span("empty", 3, 3)]) == [
        6,
        4,
        0,
        0,
    ]


@PROPERTY
@given(intervals)
def test_every_covered_moment_belongs_to_the_latest_started(spans: list[tuple[int, int]]) -> None:
    owners = [
        max((at for at, (start, end) in enumerate(spans) if start <= moment < end), key=lambda at: key(spans[at], at))
        for moment in range(100)
        if any(start <= moment < end for start, end in spans)
    ]
    alone = self_ns([Span("", *span) for span in spans])
    assert alone == [owners.count(at) for at in range(len(spans))]
    assert sum(alone) == union_length(spans)


def key(span: tuple[int, int], at: int) -> tuple[int, int, int]:
    return span[0], -span[1], -at


def memory(*changes: tuple[int, int], label: str = "save") -> tuple[int, int]:
    windows = [Span("forward", 0, 99), Span("save", 100, 199), Span("backward", 200, 299)]
    return peak_and_rest(Trace(windows, [], [Allocation(*change) for change in changes]), label)


def test_peak_is_the_highest_level_and_rest_what_stays() -> None:
    assert memory((110, 1000), (120, 500), (130, -500), (140, 200)) == (1500, 1200)


def test_only_the_named_window_counts() -> None:
    assert memory((50, 9000), (110, 100), (210, 7000)) == (100, 100)
    assert memory((50, 9000), (60, -1000), label="forward") == (9000, 8000)
    assert memory((50, 9000), label="backward") == (0, 0)


def test_freeing_a_block_from_before_the_window_makes_room_below_its_start() -> None:
    assert memory((50, 800), (110, -800), (120, 500), (130, 100)) == (0, -200)
    assert memory((50, 800), (110, 300), (120, -800), (130, 900)) == (400, 400)


def test_events_may_come_in_any_order() -> None:
    assert memory((130, -500), (110, 1000), (140, 200), (120, 500)) == (1500, 1200)


def test_of_two_events_at_one_moment_the_allocation_came_first() -> None:
    assert memory((110, -500), (110, 1000)) == (1000, 500)


@given(st.lists(st.integers(1, 20), max_size=12), st.integers(-5, 250), st.integers(0, 60))
def test_overlap_is_what_it_says(lengths: list[int], start: int, length: int) -> None:
    edges = [0, *accumulate(lengths)]
    windows = [Span("w", *pair) for pair in list(pairwise(edges))[::2]]
    slow = any(window.start_ns <= start + length and start <= window.end_ns for window in windows)
    assert Overlap(reversed(windows))(start, start + length) == slow
