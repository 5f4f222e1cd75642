"""Several devices in JAX: one process, whose programs run on all of a mesh, or a process for each of its devices.

A program is the same in both: all processes run it on arrays that lie over all of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax._src.lib import cuda_versions
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from compare.schema.records import Device, Dtype
from jax_attn import sequence


class Devices:
    """The devices that share a sequence."""

    def __init__(self, device: Device, count: int) -> None:
        """Raises NotImplementedError if there are fewer devices than that."""
        if (found := _found(device)) < count:
            raise NotImplementedError(f"needs {count} devices, found {found}")
        self.rank, self.count = jax.process_index(), count
        mesh = sequence.use(jax.devices(device)[:count])
        self._sharding = NamedSharding(mesh, PartitionSpec(None, sequence.AXIS))  # type: ignore[no-untyped-call]
        self._one_each = NamedSharding(mesh, PartitionSpec(sequence.AXIS))  # type: ignore[no-untyped-call]
        self._largest = _largest(self._one_each) if jax.process_count() > 1 else None

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Array:
        """[B, T, N, H] over the devices, in whose order its positions lie; of it each process moves its own ones."""

        def share(own: tuple[slice, ...] | None) -> NDArray[np.float32]:
            return np.asarray(array[own], jnp.dtype(dtype))

        return jax.make_array_from_callback(array.shape, self._sharding, share)

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """All devices' positions of [B, T, N, H] on the host, in the order of the devices."""
        gathered = multihost_utils.process_allgather(array, tiled=True)
        return np.asarray(gathered).astype(np.float32)

    def shifted(self, array: Array) -> Array:
        """On each device what the one before it has of [B, T, N, H]."""
        passed: Array = _passed_on(array)
        return passed

    def slowest(self, seconds: float) -> float:
        """The longest time of all processes, so that they decide alike; the time itself where one has all devices."""
        if self._largest is None:
            return seconds
        own = np.full(1, seconds, np.float32)
        return float(self._largest(jax.make_array_from_callback((self.count,), self._one_each, lambda _: own)))

    def meet(self) -> None:
        """Go on when all processes have come here: in a collective of their devices, where there are several."""
        self.slowest(0.0)


def _found(device: Device) -> int:
    """How many devices there are.

    Where each has a process they are counted before one is opened: the others would wait for one that is not there.
    """
    if device == "gpu" and jax.distributed.is_initialized() and cuda_versions is not None:
        return int(cuda_versions.cuda_device_count())
    return len(jax.devices(device))


def _largest(one_each: NamedSharding) -> jax.stages.Compiled:
    """The largest of a number on each device, on all; compiled for good, or it would be in the middle of a pass."""
    everywhere = NamedSharding(one_each.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    numbers = jax.ShapeDtypeStruct((one_each.mesh.size,), np.float32, sharding=one_each)  # type: ignore[no-untyped-call]
    return jax.jit(jnp.max, out_shardings=everywhere).lower(numbers).compile()


@jax.jit
def _passed_on(array: Array) -> Array:
    return sequence.over_devices(lambda own: sequence.shifted(own)[0], array)
