"""Traces as files: whatever the profiler saw, they are JSON that viewers read, and names are safe."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.measure import traces
from compare.measure.traces import Kept, layered, render
from compare.profile.timeline import Allocation, Span, Trace, iterations
from compare.schema.records import PASSES, Contender, PassName
from compare.worker import protocol
from compare.worker.protocol import Ran, ran
from tests.samples import JAX, pass_result, problem

PROPERTY = settings(max_examples=60, deadline=None)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SPANS = st.builds(
    lambda name, start, length, device, track: Span(name, start, start + length, device, track),
    NAMES,
    st.integers(-50, 10**9),
    st.integers(0, 10**6),
    st.integers(0, 2),
    st.sampled_from(["", "stream 7", 'a"b\n']),
)
RANS = st.builds(
    lambda window, work, changes: Ran(
        device_s=window / 1e9,
        window_ns=window,
        work=tuple(work),
        allocations=tuple(Allocation(at, size, device) for at, size, device in sorted(changes)),
        spans=len(work),
        changes=len(changes),
    ),
    st.integers(1, 10**9),
    st.lists(SPANS, max_size=20),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(2**40), 2**40), st.integers(0, 1)), max_size=8),
)


def kept(found: dict[PassName, Ran], contender: Contender = JAX) -> Kept:
    return Kept(contender, {name: pass_result(1e-3, 100) for name in PASSES}, found)


def events(*found: Kept) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads(render(problem(), found))["traceEvents"]
    return shown


@PROPERTY
@given(st.lists(st.dictionaries(st.sampled_from(PASSES), RANS), min_size=1, max_size=3), NAMES)
def test_a_file_is_in_order_and_its_spans_lie_inside_each_other_or_apart(
    passes: list[dict[PassName, Ran]], name: str
) -> None:
    contender = Contender(backend="jax", variant=f"{name}.py:f", mode="jit")
    shown = events(*(kept(each, contender) for each in passes))
    timed = [each for each in shown if "ts" in each]
    assert [each["ts"] for each in timed] == sorted(each["ts"] for each in timed)
    assert all(each["ts"] >= 0 and each.get("dur", 0) >= 0 for each in timed)
    assert {each["args"]["name"] for each in shown if each["name"] == "process_name"} == {contender.name}
    there = [span.name for each in passes for one in each.values() for span in one.work]
    spans = [each for each in timed if each["ph"] == "X" and each["cat"] != "window"]
    assert sorted(each["name"] for each in spans) == sorted(there)
    threads = defaultdict(list)
    for each in spans:
        start_ns = round(each["ts"] * 1e3)
        threads[each["pid"], each["tid"]].append((start_ns, start_ns + round(each["dur"] * 1e3)))
    named = [(each["pid"], each["tid"]) for each in shown if each["name"] == "thread_name"]
    assert set(named) >= set(threads)
    assert len({tid for _, tid in named} - {pid for pid, _ in named} - {0}) == len(named)  # or Perfetto joins them
    for found in threads.values():
        for at, (start, end) in enumerate(found):
            assert not [1 for begin, last in found[:at] if begin < start < last < end]


def test_spans_that_cross_take_a_further_layer_and_no_more_than_they_need() -> None:
    spans = [
        Span("a", 0, 10),
        Span("in a", 2, 5),
        Span("crosses a", 8, 12),
        Span("after", 12, 20),
        Span("same", 12, 20),
    ]
    assert [(span.name, layer) for span, layer in layered(spans)] == [
        ("a", 0),
        ("in a", 0),
        ("crosses a", 1),
        ("after", 0),
        ("same", 0),
    ]


def test_what_is_kept_counts_from_the_windows_start_and_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    work = [Span(f"k{at}", 1010 + 10 * at, 1015 + 10 * at) for at in range(5)]
    allocations = [Allocation(999, 1), *(Allocation(1000 + at, at) for at in range(4)), Allocation(1101, 1)]
    trace = Trace([Span("0:0", 1000, 1100)], list(reversed(work)), allocations)
    [one] = iterations(trace)
    whole = ran(trace, one)
    assert [(each.name, each.start_ns, each.end_ns) for each in whole.work[:2]] == [("k0", 10, 15), ("k1", 20, 25)]
    assert [(each.time_ns, each.signed_bytes) for each in whole.allocations] == [(1, 1), (2, 2), (3, 3)]
    monkeypatch.setattr(protocol, "MOST_EVENTS", 2)
    part = ran(trace, one)
    assert (part.work, part.spans) == (whole.work[:2], 5)
    [window] = [each for each in events(kept({"step": part})) if each.get("cat") == "window"]
    assert window["args"]["shown of the ops or kernels"] == "the first 2 of 5"
    assert window["args"]["shown of the changes of memory"] == "the first 2 of 3"


@PROPERTY
@given(st.text(max_size=300))
def test_a_name_is_safe_in_a_path_and_in_a_link(text: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)?", traces.safe(text))


def test_problems_that_differ_have_files_that_differ() -> None:
    several = [
        problem(mask=mask, dtype=dtype, devices=devices, layers=layers, layout=layout)
        for mask in ("full", "causal", "window:12", "window:1", "strided:12")
        for dtype in ("float32", "bfloat16")
        for devices in (1, 2)
        for layers in (1, 2)
        for layout in ("btnh", "bnth")
    ]
    assert len({traces.file_name(each) for each in several}) == len(several)
