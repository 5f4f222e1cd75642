"""PyTorch with extra batch rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.planted import extra
from compare.schema.records import Device, Precision
from torch_attn import adapter


class Adapter(adapter.Adapter):
    """Appends copies of the first batch rows, before anything is timed."""

    def __init__(self, device: Device, threads: int) -> None:
        """Static shapes: for a second batch size PyTorch would otherwise compile other code, with dynamic shapes."""
        super().__init__(device, threads)
        torch._dynamo.config.automatic_dynamic_shapes = False

    def programs(
        self, attention: Callable[..., Tensor], mode: str, inputs: adapter.Inputs, precision: Precision
    ) -> adapter.Programs:
        """The passes of a case, on the longer batch."""
        plain, percent = extra.split(mode)
        self._batch = len(inputs[0])
        more = extra.rows(self._batch, percent)
        q, k, v, do = (torch.cat([each, each[:more]]) for each in inputs)
        return super().programs(attention, plain, (q, k, v, do), precision)

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """The rows of the original batch."""
        return super().numpy(array)[: self._batch]
