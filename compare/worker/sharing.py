"""Several devices that share a sequence: what a backend that has variants for it must offer."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compare.records import Device, Dtype


class Devices(Protocol):
    """Several devices that share a sequence, in ``devices.py`` of a backend that has variants for it."""

    rank: int
    count: int

    def __init__(self, device: Device, count: int) -> None: ...

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Any:
        """This process's positions of [B, T, N, H], whose positions lie in the order of the devices."""

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """All devices' positions of [B, T, N, H] on the host, in the order of the devices."""

    def shifted(self, array: Any) -> Any:
        """On each device what the one before it has of [B, T, N, H]."""

    def slowest(self, seconds: float) -> float:
        """The longest time of all processes, so that they decide alike."""

    def meet(self) -> None:
        """Go on when all processes have come here."""
