"""What jax.profiler shows, sorted into windows, work and allocations: on hand-made traces, where the truth is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from compare.profile.timeline import Allocation, Span, Trace, iterations
from jax_attn import profiler


def event(name: str, start_ns: int, end_ns: int, **stats: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, start_ns=start_ns, end_ns=end_ns, stats=list(stats.items()))


WINDOW = event("compare:step", 0, 1000)


def read(**planes: list[list[SimpleNamespace]]) -> Trace:
    names = {"host": "/host:CPU", "gpu": "/device:GPU:0", "other": "/device:GPU:1"}
    return profiler._read(
        SimpleNamespace(
            planes=[
                SimpleNamespace(name=names[name], lines=[SimpleNamespace(name="", events=events) for events in threads])
                for name, threads in planes.items()
            ]
        )
    )


def product(start_ns: int, queued_ns: int, mark: int) -> SimpleNamespace:
    return event("dot.1", start_ns, queued_ns, hlo_op="dot.1", _p=mark)


def test_a_product_lasts_until_the_mark_of_its_end_and_not_only_while_it_is_queued() -> None:
    pool = [
        event("ThreadpoolListener::StartRegion", 11, 11),
        event("end: dot.1", 90, 91, _c=7),
        event("end: dot.1", 500, 501, _c=8),  # another execution's
    ]
    assert read(host=[[WINDOW, product(10, 12, 7)], pool]).work == [Span("dot.1", 10, 90)]


def test_what_the_last_thread_runs_before_it_sets_the_mark_is_not_the_products_time() -> None:
    """Seen on XLA:CPU: the continuation, even the next execution, runs inside the callback that the mark follows."""
    pool = [
        event("ThreadpoolListener::StartRegion", 11, 11),
        event("ThunkExecutor::Execute", 60, 480),
        event("copy.2", 61, 70, hlo_op="copy.2"),
        event("end: copy.2", 70, 71, _c=9),
        event("end: dot.1", 481, 482, _c=7),
    ]
    assert sorted(read(host=[[WINDOW, product(10, 12, 7)], pool]).work) == [
        Span("copy.2", 61, 70),
        Span("dot.1", 10, 60),
    ]


def test_a_late_mark_does_not_carry_a_product_into_the_next_window() -> None:
    windows = [event("compare:step", 0, 100), event("compare:step", 110, 200)]
    first = [event("ThunkExecutor::Execute", 60, 480), event("end: dot.1", 481, 482, _c=7)]
    second = [event("end: dot.1", 180, 181, _c=8)]
    found = iterations(read(host=[windows, [product(10, 12, 7), product(120, 125, 8)], first, second]))
    assert [(each.kernels["dot.1"], each.device_s) for each in found] == [(1, 50e-9), (1, 60e-9)]


def test_a_fill_is_the_same_whatever_number_it_carries() -> None:
    """Seen on a GPU: the same one is `Memset 3` in one call and `Memset 0` in the next."""
    kernels = [event("Memset 3", 10, 12), event("Memset 0", 20, 22), event("Memset (Device)", 30, 32)]
    [found] = iterations(read(host=[[WINDOW]], gpu=[kernels]))
    assert found.kernels == {"Memset": 2, "Memset (Device)": 1}


def test_without_its_mark_a_product_is_no_longer_than_its_event() -> None:
    assert read(host=[[WINDOW, product(10, 12, 7)]]).work == [Span("dot.1", 10, 12)]


def test_waiting_and_unnamed_events_are_no_work() -> None:
    events = [
        WINDOW,
        event("ThunkExecutor::Execute (wait for completion)", 0, 99, hlo_op="x"),
        event("PjitFunction(step)", 0, 99),
    ]
    assert read(host=[events]).work == []


def test_kernels_of_a_gpu_are_work_whatever_the_host_shows() -> None:
    found = read(host=[[event("compare:forward", 0, 100)]], gpu=[[event("gemm", 20, 40)], [event("softmax", 30, 50)]])
    assert found.work == [Span("gemm", 20, 40), Span("softmax", 30, 50)]
    assert [each.device_s for each in iterations(found)] == [30e-9]


def test_memory_is_what_was_asked_for_and_not_the_block_that_the_pool_gave() -> None:
    sizes = {"requested_bytes": 1000, "allocation_bytes": 1900, "allocator_name": "GPU_0_bfc"}
    host = sizes | {"allocator_name": "xla_gpu_host_bfc"}
    events = [
        event("MemoryAllocation", 5, 5, **sizes),
        event("MemoryAllocation", 6, 6, **host),
        event("MemoryDeallocation", 9, 9, **sizes),
    ]
    assert read(host=[events]).allocations == [Allocation(5, 1000), Allocation(6, 0), Allocation(9, -1000)]


def test_what_shares_no_moment_with_a_window_is_left_out() -> None:
    windows = [event("compare:step", 100, 200), event("compare:step", 300, 400)]
    ops = [event("exp.1", start, start + 20, hlo_op="exp.1") for start in (50, 79, 80, 150, 200, 201, 240, 290, 401)]
    assert [span.start_ns for span in read(host=[windows, ops]).work] == [80, 150, 200, 290]


def test_each_gpu_has_its_own_work_and_memory() -> None:
    def taken(at_ns: int, allocator: str) -> SimpleNamespace:
        return event("MemoryAllocation", at_ns, at_ns, requested_bytes=at_ns, allocator_name=allocator)

    memory = [taken(100, "GPU_0_bfc"), taken(200, "GPU_1_bfc"), taken(300, "GPU_collectivememory_1_bfc")]
    found = read(host=[[WINDOW, *memory]], gpu=[[event("a", 10, 20)]], other=[[event("b", 10, 90)]])
    assert found.work == [Span("a", 10, 20, 0), Span("b", 10, 90, 1)]
    assert found.allocations == [Allocation(100, 100, 0), Allocation(200, 200, 1), Allocation(300, 300, 1)]
