"""What a problem asks for: never so little that two could share what is timed, never more than some node has."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as some

from compare.measure import ray_link
from compare.measure.ray_link import Need, Place, choose, cpus_each, fits, need, words

SIZES = some.lists(some.tuples(some.integers(0, 256), some.integers(0, 16)), min_size=1, max_size=8)


def places(*sizes: tuple[int, int]) -> list[Place]:
    return [Place(str(at), f"node-{at}", cpus, gpus) for at, (cpus, gpus) in enumerate(sizes)]


@given(SIZES)
def test_on_a_cpu_no_node_holds_two_problems_and_some_node_holds_one(sizes: list[tuple[int, int]]) -> None:
    there = places(*sizes)
    cpus = cpus_each("cpu", there)
    asked = need("cpu", 1, cpus)
    if any(place.cpus for place in there):
        assert any(fits(place, asked) for place in there)
        assert all(2 * asked.cpus > place.cpus for place in there)
    else:
        assert cpus == 0


@given(SIZES, some.integers(1, 16))
def test_on_gpus_a_full_node_has_cpus_for_all_of_them(sizes: list[tuple[int, int]], devices: int) -> None:
    there = places(*sizes)
    cpus = cpus_each("gpu", there)
    for place in there:
        if cpus and place.cpus >= place.gpus >= devices:
            asked = need("gpu", devices, cpus)
            assert fits(place, asked)
            assert place.gpus // devices * asked.cpus <= place.cpus
    assert (cpus == 0) == (not any(place.gpus and place.cpus >= place.gpus for place in there))


def test_equal_nodes_are_taken_whole() -> None:
    assert need("cpu", 4, cpus_each("cpu", places((64, 0), (64, 8)))) == Need(64, 0)
    assert need("gpu", 4, cpus_each("gpu", places((64, 0), (64, 8)))) == Need(32, 4)


def test_a_device_that_no_node_has_is_refused() -> None:
    assert choose(None, places((2, 0), (2, 1))) == "gpu"
    assert choose(None, places((2, 0))) == "cpu"
    assert choose("cpu", places((2, 1))) == "cpu"
    with pytest.raises(ValueError, match="no node of the cluster offers a GPU; possible: cpu"):
        choose("gpu", places((2, 0)))
    with pytest.raises(ValueError, match="no node of the cluster offers a CPU"):
        choose("cpu", places((0, 0)))


def test_nodes_that_stay_idle_are_not_counted() -> None:
    there = places((0, 0), (8, 4), (8, 4))
    assert words(there, Need(2, 1)) == "2 nodes (and 1 idle), 8 GPUs"
    assert words(there[1:2], Need(8, 0)) == "1 node"


@pytest.mark.parametrize(
    ("gpus", "expected"), [([], range(8)), ([0], (0, 1)), ([3], (6, 7)), ([1, 2], (2, 3, 4, 5)), (["GPU-1a"], range(8))]
)
def test_each_gpu_has_cpus_of_its_own(gpus: list[object], expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = [set(range(8))]
    monkeypatch.setattr(ray_link, "ALL_CPUS", set(range(8)))
    monkeypatch.setattr(ray_link.ray, "get_gpu_ids", lambda: gpus)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: pinned.append(cpus))
    with ray_link.own_cpus(2):
        assert pinned[-1] == set(expected)
    assert pinned[-1] == set(range(8))
