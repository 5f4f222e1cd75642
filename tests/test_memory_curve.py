"""Memory over time: thinning keeps what matters, plans are followed op by op, both adapters show what must be there."""

from __future__ import annotations

from importlib import import_module
from itertools import accumulate, pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from compare.backends import Assigned, Buffer
from compare.profile import timeline
from compare.profile.timeline import Allocation, Iteration, Span, Trace
from compare.schema import records
from compare.schema.records import MOST_POINTS, PASSES, Case, Contender, Level, MemoryCurve
from compare.worker import memory as planned_memory
from compare.worker import session as weighing
from compare.worker.session import Session
from tests.samples import problem

PROPERTY = settings(max_examples=100, deadline=None)


@some.composite
def changes(draw: some.DrawFn) -> list[tuple[int, int]]:
    """Pauses and changes, often far more than are kept, some of one size and some of all sizes."""
    chance, largest = Random(draw(some.integers(0, 2**32))), draw(some.sampled_from([1, 100, 10**9]))
    count = draw(some.integers(0, 4 * MOST_POINTS))
    return [(chance.randrange(3), chance.randint(-largest, largest)) for _ in range(count)]


def levels(found: list[tuple[int, int]]) -> list[Level]:
    """Levels from pauses and changes."""
    pauses, sizes = [pause for pause, _ in found], [size for _, size in found]
    return [Level(*each) for each in zip(accumulate(pauses), accumulate(sizes), strict=True)]


@PROPERTY
@given(changes())
def test_a_thinned_curve_is_small_and_in_order_and_keeps_peak_and_end(found: list[tuple[int, int]]) -> None:
    whole = [Level(0, 0), *levels(found)]
    curve = records.curve(whole[1:], 1.0, "events")
    assert len(curve.moments_s) <= MOST_POINTS
    assert list(curve.moments_s) == sorted(curve.moments_s)
    highest = max(whole, key=lambda each: each.bytes)
    assert curve.peak_bytes == highest.bytes
    assert curve.moments_s[curve.levels_bytes.index(highest.bytes)] == highest.time_ns / 1e9
    assert (curve.levels_bytes[0], curve.levels_bytes[-1]) == (0, whole[-1].bytes)
    assert curve.changes == len(found)


@PROPERTY
@given(changes())
def test_no_level_that_is_left_out_is_further_off_than_said(found: list[tuple[int, int]]) -> None:
    whole = [Level(0, 0), *levels(found)]
    kept, within_bytes = records.thinned(whole)
    waiting, shown = iter([*kept, None]), whole[0]
    following = next(waiting)
    for level in whole:
        if level == following:
            shown, following = level, next(waiting)
        assert abs(level.bytes - shown.bytes) <= within_bytes
    assert following is None


def test_a_short_curve_is_kept_as_it_is() -> None:
    few = levels([(1, size) for size in (100, 50, -30, 1, -121)])
    curve = records.curve(few, 1.0, "events")
    assert curve.levels_bytes == (0, 100, 150, 120, 121, 0)
    assert curve.within_bytes == 0


def test_a_spike_among_thousands_of_small_changes_is_kept_and_so_is_a_second_one_that_is_lower() -> None:
    sizes = [1, -1] * 400 + [10**6, -(10**6)] + [1, -1] * 400 + [9 * 10**5, -9 * 10**5] + [1, -1] * 400
    curve = records.curve(levels([(1, size) for size in sizes]), 1.0, "events")
    assert 0 < curve.within_bytes < 1000
    assert {10**6, 9 * 10**5} <= set(curve.levels_bytes)
    assert len(curve.levels_bytes) < 10


@pytest.mark.parametrize(
    "damaged",
    [
        {"moments_s": (0.0, 0.1), "levels_bytes": (0,)},
        {"moments_s": (0.2, 0.1), "levels_bytes": (0, 1)},
        {"moments_s": (0.0, 2.0), "levels_bytes": (0, 1)},
    ],
)
def test_a_damaged_curve_is_refused(damaged: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"source": "events", "window_s": 1.0, **damaged}, MemoryCurve)


def test_of_several_devices_it_is_the_fullest_ones() -> None:
    events = [
        Allocation(10, 5, 0),
        Allocation(20, 9, 1),
        Allocation(30, -9, 1),
        Allocation(40, 3, 0),
        Allocation(99, 7),
    ]
    found = timeline.levels(Trace([Span("step", 5, 50)], [], events), "step")
    assert timeline.fullest(found) == [Level(15, 9), Level(25, 0)]


# ------------------------------------------------------------------------------------------------ plans


def ran(*work: tuple[str, int, int]) -> Iteration:
    return Iteration("step", 1e-9, 100e-9, tuple(Span(*each) for each in work), start_ns=1000)


def in_use(buffers: tuple[Buffer, ...], one: Iteration) -> list[tuple[int, int]]:
    return [tuple(each) for each in planned_memory.planned_levels(Assigned(0, "plan", buffers), one)]


def test_a_buffer_of_a_plan_is_in_use_from_its_writer_to_its_last_reader() -> None:
    buffers = (Buffer(0, 0, 8, "a", ("b", "c"), False), Buffer(1, 0, 4, "c", (), True))
    one = ran(("a", 1010, 1020), ("b", 1020, 1060), ("c", 1030, 1050))
    assert in_use(buffers, one) == [(10, 8), (30, 12), (60, 4)]


def test_bytes_that_two_buffers_share_count_once() -> None:
    buffers = (Buffer(0, 0, 8, "a", ("b",), False), Buffer(0, 4, 12, "b", (), False))
    assert in_use(buffers, ran(("a", 1010, 1020), ("b", 1020, 1030))) == [(10, 8), (20, 12), (30, 0)]


def test_what_cannot_be_told_has_a_reason() -> None:
    with pytest.raises(planned_memory.Unplaced, match="the profile does not show when b ran"):
        in_use((Buffer(0, 0, 8, "a", ("b",), False),), ran(("a", 1010, 1020)))
    with pytest.raises(planned_memory.Unplaced, match="no plan"):
        planned_memory.planned_levels(Assigned(8, "pool", untold="no plan"), ran())


# ------------------------------------------------------------------------------------------------ both adapters

BATCH, LENGTH, WIDTH = 8, 128, 8  # the mask and the tensors are small beside the scores
SMALL = problem(LENGTH, WIDTH, BATCH, mask="causal")
TENSOR, MATRIX = BATCH * LENGTH * WIDTH * 4, BATCH * LENGTH * LENGTH * 4


def measured_peak(backend: str, variant: str) -> weighing.MemoryProfile:
    """Memory measured in one process."""
    session = Session(f"{backend}_attn", "cpu", 2)
    contender = Contender(backend=backend, variant=variant, mode={"jax": "jit", "torch": "eager"}[backend])
    programs = session.programs_of(Case(problem=SMALL, contender=contender))
    for name in PASSES:
        session.run(programs, name)
    return weighing.measure_memory(session, programs, PASSES, SMALL)


def climbs(curve: MemoryCurve, over_bytes: int) -> int:
    """How often the curve rises over a level."""
    over = [level >= over_bytes for level in curve.levels_bytes]
    return sum(after and not before for before, after in pairwise(over))


@pytest.mark.parametrize(("variant", "times"), [("naive", 1), ("checkpoint", 2), ("fused", 0)])
def test_in_torch_the_matrix_outlives_the_forward_half_unless_it_is_checkpointed(variant: str, times: int) -> None:
    weight = measured_peak("torch", variant)
    for memory in weight.peaks.values():
        assert memory.over_time.peak_bytes == memory.peak_bytes
        assert memory.over_time.source == "Kineto allocation events"
    assert climbs(weight.peaks["step"].over_time, MATRIX) == times


def test_in_jax_the_plan_is_followed_while_its_ops_run() -> None:
    weight = measured_peak("jax", "naive")
    for name, memory in weight.peaks.items():
        curve = memory.over_time
        assert curve.reason == ""
        assert curve.source.startswith("XLA buffer assignment, in use")
        assert memory.peak_bytes / 2 < curve.peak_bytes <= memory.peak_bytes, name
    step = weight.peaks["step"].over_time
    assert climbs(step, MATRIX) == 1
    assert step.levels_bytes[-1] == 4 * TENSOR  # out, dQ, dK and dV


def test_a_plan_with_loops_does_not_tell() -> None:
    jax, buffers = import_module("jax"), import_module("jax_attn.buffers")
    program = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda _, y: x @ y, x))
    compiled = program.lower(jax.ShapeDtypeStruct((64, 64), "float32")).compile().runtime_executable()
    with pytest.raises(NotImplementedError, match="inside a loop or a call"):
        buffers.of(compiled)


def test_a_block_with_the_table_of_a_tuple_in_it_counts_whole() -> None:
    """XLA calls such a block a tuple's, whatever else lies in it."""
    jax, buffers = import_module("jax"), import_module("jax_attn.buffers")
    lowered = jax.jit(jax.numpy.linalg.qr).lower(jax.ShapeDtypeStruct((64, 64), "float32"))
    compiled = lowered.compile().runtime_executable()
    stats = compiled.get_compiled_memory_stats()
    scratch = [each for each in buffers.of(compiled) if not each.result]
    assert planned_memory.in_use_bytes(scratch) > stats.temp_size_in_bytes > 64 * 64 * 4


def test_where_nothing_tells_there_is_a_reason_and_no_curve() -> None:
    found = weighing._planned(Assigned(8, "the pool", untold="it is held"), ran())
    assert found == MemoryCurve(source="the pool", reason="it is held")


def test_a_repeated_number_is_read_packed_or_not() -> None:
    wire = import_module("jax_attn.wire")
    packed = wire.fields(b"\xa2\x02\x03\x05\xac\x02\x0d\x00\x00\x00\x00\x11" + bytes(8))
    assert list(wire.numbers(packed, 36)) == [5, 300]
    assert list(wire.numbers(wire.fields(b"\xa0\x02\x05\xa0\x02\xac\x02"), 36)) == [5, 300]
    assert wire.number(packed, 7) == 0
