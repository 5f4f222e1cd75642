"""JAX with more batch rows than were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from compare.records import Precision
from jax_attn import adapter
from scripts.planted import extra


class Adapter(adapter.Adapter):
    """Repeats the first rows of the batch behind it, outside of what is timed."""

    def programs(
        self, attention: Callable[..., Array], mode: str, inputs: adapter.Inputs, precision: Precision
    ) -> adapter.Programs:
        """The passes of a case on the longer batch."""
        plain, percent = extra.split(mode)
        self._batch = len(inputs[0])
        more = extra.rows(self._batch, percent)
        q, k, v, do = (jnp.concatenate([each, each[:more]]) for each in inputs)
        return super().programs(attention, plain, (q, k, v, do), precision)

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """The rows that were asked for."""
        return super().numpy(array)[: self._batch]
