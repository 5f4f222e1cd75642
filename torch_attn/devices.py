"""Several devices in PyTorch: a process for each, which torchrun starts, in one process group."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from compare.schema.records import Device, Dtype
from torch_attn.sequence import Coming


class Devices:
    """This process's share of a sequence, and what it agrees on with the others."""

    def __init__(self, device: Device, count: int) -> None:
        """Raises NotImplementedError if there are fewer GPUs than that."""
        self.rank, self.count = int(os.environ["RANK"]), count
        if device == "gpu":
            if torch.cuda.device_count() < count:
                raise NotImplementedError(f"needs {count} GPUs, found {torch.cuda.device_count()}")
            torch.cuda.set_device(self.rank)
        self._device = torch.device("cuda", self.rank) if device == "gpu" else torch.device("cpu")
        nccl = {"backend": "nccl", "device_id": self._device}
        dist.init_process_group(**nccl if device == "gpu" else {"backend": "gloo"})

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Tensor:
        """This device's positions of [B, T, N, H], whose positions lie in the order of the devices."""
        own = np.array_split(array, dist.get_world_size(), axis=1)[self.rank]
        return torch.from_numpy(np.ascontiguousarray(own)).to(self._device, getattr(torch, dtype))

    def numpy(self, array: Tensor) -> NDArray[np.float32]:
        """All devices' positions of [B, T, N, H] on the host, in the order of the devices."""
        parts = [torch.empty_like(array.contiguous()) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, array.detach().contiguous())
        found: NDArray[np.float32] = torch.cat(parts, 1).to("cpu", torch.float32).numpy()
        return found

    def shifted(self, array: Tensor) -> Tensor:
        """On each device what the one before it has of [B, T, N, H]."""
        return Coming(array).arrived()[0]

    def slowest(self, seconds: float) -> float:
        """The longest time of all processes, so that they decide alike."""
        longest = torch.tensor([seconds], dtype=torch.float64, device=self._device)
        dist.all_reduce(longest, dist.ReduceOp.MAX)
        return float(longest.item())

    def meet(self) -> None:
        """Go on when all have come here."""
        gone: Any = dist.barrier()
        del gone
