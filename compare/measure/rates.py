"""The device's rates at the start of a run: what to measure, each backend in a process of its own, one by one.

A process of its own, so that neither the large arrays nor a failure leave anything behind in a worker that is timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from compare.machine import environment, memory
from compare.measure.workers import Fleet
from compare.plan.cases import Plan
from compare.schema.records import Device, DeviceRate, Link, Linked, LinkRate, Problem, Product, Rate, Rated
from compare.worker.protocol import Failed, Unsupported

STREAM_BYTES: dict[Device, int] = {"cpu": 2**27, "gpu": 2**30}
LINK_BYTES = 2**30
MOST_STREAM_BYTES = 2**30
OVER_CACHE = 4  # the array is at least so many times as large as a CPU's last-level cache
MATMUL_SIZE: dict[Device, int] = {"cpu": 1024, "gpu": 8192}
IEEE_SIZE: dict[Device, int] = {"cpu": 1024, "gpu": 4096}  # float32 without tensor cores is slow enough at that


def rated(plan: Plan, folder: Path) -> Iterator[tuple[DeviceRate, ...]]:
    """The rates of one backend after the other, before anything else runs; a failure is a rate with a reason."""
    place = folder / "rates"
    place.mkdir()
    fleet = Fleet(plan.settings, place, lambda _: None)
    for name, contender in plan.backends.items():
        request = Rate(backend=name, stream_bytes=stream_bytes(plan.settings.device), products=products(plan))
        # Freed pages are recycled whatever --malloc says: the device's speed is measured, not the kernel's.
        reply = fleet.ask_fresh(contender, request, environment.RECYCLE)
        yield reply.rates if isinstance(reply, Rated) else tuple(unknown(request, reply))


def linked(plan: Plan, folder: Path) -> Iterator[LinkRate]:
    """How fast devices that share a sequence send to each other, for each number and backend; only for real devices."""
    if plan.settings.device == "cpu":
        return
    place = folder / "links"
    place.mkdir()
    fleet = Fleet(plan.settings, place, lambda _: None)
    for devices in sorted({problem.devices for problem in plan.problems} - {1}):
        fleet.set_devices(devices)
        for name, contender in plan.backends.items():
            reply = fleet.ask_fresh(contender, Link(size_bytes=LINK_BYTES), environment.RECYCLE)
            yield LinkRate(
                backend=name,
                devices=devices,
                bytes_per_s=reply.bytes_per_s if isinstance(reply, Linked) else None,
                reason="" if isinstance(reply, Linked) else refused(reply),
            )


def products(plan: Plan) -> tuple[Product, ...]:
    """Each dtype and precision that occurs in the plan, once."""
    return tuple(dict.fromkeys(product(plan.settings.device, each) for each in plan.problems))


def product(device: Device, problem: Problem) -> Product:
    """The product whose rate bounds the products of a problem."""
    ieee = problem.dtype == "float32" and problem.matmul_precision == "ieee"
    size = (IEEE_SIZE if ieee else MATMUL_SIZE)[device]
    return Product(dtype=problem.dtype, matmul_precision=problem.matmul_precision, size=size)


def stream_bytes(device: Device) -> int:
    """The size of an array that no cache holds."""
    cache = memory.cpu_bytes() if device == "cpu" else None
    return min(MOST_STREAM_BYTES, max(STREAM_BYTES[device], OVER_CACHE * (cache or 0)))


def unknown(request: Rate, reply: object) -> Iterable[DeviceRate]:
    """Missing rates, with the reason."""
    for each in request.products:
        yield DeviceRate(
            backend=request.backend, dtype=each.dtype, matmul_precision=each.matmul_precision, reason=refused(reply)
        )


def refused(reply: object) -> str:
    """Why a rate is missing."""
    return reply.reason if isinstance(reply, Failed | Unsupported) else f"unexpected answer {type(reply).__name__}"
