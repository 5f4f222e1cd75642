"""Inside the worker: how fast the device copies and how fast it multiplies, by the profiler, in the run's own dtypes.

Neutral to the framework.  These are rates that were reached here, not those of a data sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from compare.device_rate import DeviceRate, Product, Rate
from compare.records import ITEM_BYTES, Device
from compare.worker import caches
from compare.worker.clock import Stopwatch
from compare.worker.known_work import RANDOM_NUMBERS, Pace, numbers, pace, run

if TYPE_CHECKING:
    from compare.worker.measuring import Session

LIMIT_S: dict[Device, float] = {"cpu": 0.25, "gpu": 1.0}  # about, for each warm-up and again for the samples
LINK_TRIES, LINK_CALLS = 4, 5
SMALLEST = 256  # a product of smaller matrices tells little


def measured(session: Session, request: Rate) -> Iterator[DeviceRate]:
    """One rate for each dtype and precision; where that fails, the reason stands in its place."""
    for product in request.products:
        unknown = DeviceRate(backend=request.backend, dtype=product.dtype, matmul_precision=product.matmul_precision)
        try:
            size_bytes, copying = copied(session, request.stream_bytes, product)
            flops, multiplying = multiplied(session, product)
            scatter, scattered = max((copying.scatter, "copies"), (multiplying.scatter, "products"))
            yield replace(
                unknown,
                copy_bytes_per_s=size_bytes / copying.fastest_s,
                matmul_flops_per_s=flops / multiplying.fastest_s,
                cache_bytes=caches.last_level_bytes(session.device),
                scatter=scatter,
                scattered=scattered,
            )
        except Exception as error:  # noqa: BLE001  a run must not end because its yardstick could not be had
            yield replace(unknown, reason=f"{type(error).__name__}: {str(error)[:200]}")


def copied(session: Session, size_bytes: int, product: Product) -> tuple[int, Pace]:
    """Bytes read and written of an array far larger than a cache, and how long that takes."""
    count = size_bytes // ITEM_BYTES[product.dtype]
    work = partial(session.adapter.doubled, numbers(session, count, dtype=product.dtype))
    return 2 * count * ITEM_BYTES[product.dtype], pace(session, work, LIMIT_S[session.device])


def multiplied(session: Session, product: Product) -> tuple[int, Pace]:
    """FLOPs of a product of two square matrices, smaller ones where the device is slow at them, and its times."""
    size = product.size
    while size > SMALLEST and _product_s(session, product, size // 4) * 4**3 > LIMIT_S[session.device]:
        size //= 2
    return 2 * size**3, pace(session, _product(session, product, size), LIMIT_S[session.device])


def linked(session: Session, size_bytes: int) -> float:
    """Bytes per second that each device sends to the next one while it receives as much, by the wall clock.

    As many calls on every device, whatever they take: they wait for each other.
    """
    assert session.devices
    host = np.random.default_rng(0).random((1, 1, 1, RANDOM_NUMBERS), np.float32)
    rows = size_bytes // host.nbytes
    whole = np.broadcast_to(host, (1, session.devices.count * rows, 1, RANDOM_NUMBERS))  # which takes no memory yet
    array = session.devices.put(whole, "float32")
    watch = Stopwatch()
    for _ in range(LINK_TRIES):
        session.devices.meet()
        with watch():
            for _ in range(LINK_CALLS):
                session.adapter.block(session.devices.shifted(array))
    return rows * host.nbytes * LINK_CALLS / min(watch.seconds)


def _product(session: Session, product: Product, size: int) -> Callable[[], Any]:
    a, b = (numbers(session, size, size, dtype=product.dtype) for _ in range(2))
    return partial(session.adapter.matmul, a, b, product.matmul_precision)


def _product_s(session: Session, product: Product, size: int) -> float:
    """Wall seconds of a second call: the first may compile."""
    watch, work = Stopwatch(), _product(session, product, size)
    for _ in range(2):
        with watch():
            run(session, work)
    return watch.seconds[-1]
