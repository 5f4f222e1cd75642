"""The only module that knows Ray: joining a cluster, its nodes, and tasks on them.

What a problem needs of a node is arithmetic on resources, so that no two problems share what is timed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from compare.measure.ray_node import Delivered
from compare.schema.records import Device
from compare.worker.__main__ import describe


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

    Nodes with at most half the CPUs of the largest one stay idle in a sweep on CPUs: problems request only
    CPUs, and two that fit a small node would share a large one.
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


HERE = "local"  # in place of an address: a cluster of this machine alone, for this run
GRACE_S = 15.0  # for cancelled tasks, which end their workers and remove their files
TICK_S = 0.5
KNOCK_S = 10.0
ALL_CPUS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

Work = Callable[[str], Delivered]  # from the name of the node


class Lost(Exception):
    """The node or the process on which a task ran is gone."""


class Broken(Exception):
    """A task raised an error."""


def join(address: str) -> None:
    """Join the cluster.  Raises ValueError where there is none."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    alone = {"include_dashboard": False} if address == HERE else {}
    ray._private.worker._worker_logs_enabled = False  # what raylets have to say of lost nodes, in the midst of tables
    try:
        knock(address)
        with hushed():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **alone)
    except (OSError, OverflowError, RuntimeError, ValueError, RayError) as error:
        raise ValueError(
            f"--address {address}: no Ray cluster answers ({describe(error)}); "
            "if it requires a token, set RAY_AUTH_MODE=token"
        ) from error


def knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


@contextmanager
def hushed() -> Iterator[None]:
    """Drop what is written to stderr: Ray's C++ parts say there what the error says once more, many times."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def leave() -> None:
    """Leave the cluster; what still runs of ours there is killed."""
    ray.shutdown()


def places() -> list[Place]:
    """The living nodes."""
    return [
        Place(
            node["NodeID"],
            name_of(node["NodeManagerHostname"], node["NodeID"]),
            int(node["Resources"].get("CPU", 0)),
            int(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def name_of(host: str, node: str) -> str:
    """Host name of a node, with a suffix to distinguish nodes of one machine."""
    return f"{host}-{node[:6]}"


class Task:
    """Work on some node, or on a certain one: it says first where it runs, and at last what it found."""

    def __init__(self, work: Work, need: Need, cpus: int, where: Place | None = None) -> None:
        """``cpus``: of the node's, so many belong to each of its GPUs."""
        strategy = NodeAffinitySchedulingStrategy(where.id, soft=False) if where else "DEFAULT"
        remote = REMOTE.options(num_cpus=need.cpus, num_gpus=need.gpus, scheduling_strategy=strategy)
        self.need = need
        self.stream: Any = remote.remote(work, cpus)

    def news(self) -> str | Delivered:
        """The name of the node, or what was found.  Raises Lost and Broken."""
        try:
            said: str | Delivered = ray.get(next(self.stream))
        except RayTaskError as error:
            raise Broken(describe(error.cause)) from error
        except RayError as error:
            raise Lost(describe(error)) from error
        return said

    def cancel(self) -> None:
        """As a Ctrl-C on its node."""
        ray.cancel(self.stream)


def wait(tasks: Sequence[Task], timeout_s: float = TICK_S) -> list[Task]:
    """The tasks with news, as soon as there are some or the time is over."""
    by_stream = {task.stream: task for task in tasks}
    ready = ray.wait(list(by_stream), timeout=timeout_s)[0] if tasks else []
    return [by_stream[each] for each in ready]


def cancel(tasks: Sequence[Task]) -> None:
    """End all, each in its order, and wait for that."""
    for task in tasks:
        task.cancel()
    if tasks:
        ray.wait([task.stream.completed() for task in tasks], num_returns=len(tasks), timeout=GRACE_S)


def on_node(work: Work, cpus: int) -> Iterator[str | Delivered]:
    """What runs on the node."""
    name = name_of(socket.gethostname(), ray.get_runtime_context().get_node_id())
    yield name
    with interruptible(), own_cpus(cpus):
        found = work(name)
    yield found


REMOTE: Any = ray.remote(num_returns="streaming", max_retries=0)(on_node)


@contextmanager
def own_cpus(cpus: int) -> Iterator[None]:
    """The CPUs that belong to this task's GPUs, so that the problems of one node do not share them; else all."""
    gpus = [int(each) for each in ray.get_gpu_ids() if str(each).isdecimal()]
    known = sorted(ALL_CPUS)
    own = {known[(gpu * cpus + at) % len(known)] for gpu in gpus for at in range(cpus)} if known else set()
    if own:
        os.sched_setaffinity(0, own)
    try:
        yield
    finally:
        if own:
            os.sched_setaffinity(0, ALL_CPUS)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ray interrupts Python's main thread by a flag, which a call that waits for a worker does not see: wake it up."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
