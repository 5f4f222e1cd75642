"""Several devices in JAX: one process, whose programs run on all of a mesh."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from compare.records import Device, Dtype
from jax_attn import sequence


class Devices:
    """The devices that share a sequence."""

    def __init__(self, device: Device, count: int) -> None:
        """Raises NotImplementedError if there are fewer devices than that."""
        self.rank, self.count = 0, count
        found = jax.devices(device)
        if len(found) < count:
            raise NotImplementedError(f"needs {count} devices, found {len(found)}")
        at = PartitionSpec(None, sequence.AXIS)  # type: ignore[no-untyped-call]
        self._sharding = NamedSharding(sequence.use(found[:count]), at)

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Array:
        """[B, T, N, H] over the devices, in whose order its positions lie."""
        placed: Array = jax.device_put(np.asarray(array, jnp.dtype(dtype)), self._sharding)
        return placed

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """All devices' positions of [B, T, N, H] on the host, in the order of the devices."""
        return np.asarray(array).astype(np.float32)

    def shifted(self, array: Array) -> Array:
        """On each device what the one before it has of [B, T, N, H]."""
        passed: Array = _passed_on(array)
        return passed

    def slowest(self, seconds: float) -> float:
        """The time itself: one process times all devices."""
        return seconds

    def meet(self) -> None:
        """Nothing: there is one process."""


@jax.jit
def _passed_on(array: Array) -> Array:
    return sequence.over_devices(lambda own: sequence.shifted(own)[0], array)
