"""What a problem asks of a node, so that no two problems ever share what is timed: pure arithmetic on resources.

On a GPU a problem takes its GPUs, and with each of them an equal share of the node's CPUs.  On a CPU it takes the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compare.records import Device


class Place(NamedTuple):
    """A living node, and the CPUs and GPUs that it offers."""

    id: str
    name: str
    cpus: int
    gpus: int


class Need(NamedTuple):
    """What a task asks for."""

    cpus: int
    gpus: int


def choose(asked: Device | None, places: Sequence[Place]) -> Device:
    """The device of a sweep: the one asked for, else GPUs where a node has some.

    Raises ValueError where no node has what is asked for.
    """
    has_gpus = any(place.gpus for place in places)
    if asked == "gpu" and not has_gpus:
        raise ValueError("--device gpu: no node of the cluster offers a GPU; possible: cpu")
    device: Device = asked or ("gpu" if has_gpus else "cpu")
    if not cpus_each(device, places):
        raise ValueError(f"--device {device}: no node of the cluster offers a CPU for it")
    return device


def cpus_each(device: Device, places: Sequence[Place]) -> int:
    """The CPUs that come with each GPU, or that a whole node has; 0 where no node can take a problem.

    Nodes with at most half the CPUs of the largest one stay idle in a sweep on CPUs: their problems are told apart by
    their number of CPUs alone, and two that fit a small node would share a large one.
    """
    if device == "gpu":
        shares = [place.cpus // place.gpus for place in places if place.gpus and place.cpus >= place.gpus]
        return min(shares, default=0)
    most = max((place.cpus for place in places), default=0)
    return min((place.cpus for place in places if 2 * place.cpus > most), default=0)


def need(device: Device, devices: int, cpus: int) -> Need:
    """What a problem of so many devices takes, where each comes with so many CPUs; on a CPU they are simulated."""
    return Need(cpus * devices, devices) if device == "gpu" else Need(cpus, 0)


def fits(place: Place, asked: Need) -> bool:
    """Whether a node can ever take it."""
    return place.cpus >= asked.cpus and place.gpus >= asked.gpus


def words(places: Sequence[Place], asked: Need) -> str:
    """The cluster in a few words; nodes that cannot take a problem of one device stay idle."""
    able = [place for place in places if fits(place, asked)]
    gpus = sum(place.gpus for place in able) if asked.gpus else 0
    nodes = f"{len(able)} node{'s' * (len(able) != 1)}" + f" (and {len(places) - len(able)} idle)" * (able != places)
    return f"{nodes}, {gpus} GPU{'s' * (gpus != 1)}" if gpus else nodes
