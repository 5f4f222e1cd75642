"""tokamax's attention with its kernel pinned: left alone it falls back to XLA in silence."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores

Kernel = Literal["mosaic", "triton"]


def call(kernel: Kernel, q: Array, k: Array, v: Array, parsed: Scores) -> Array:
    """Attention on q [B, T, N, H], k [B, S, K, H], v [B, S, K, V] by one kernel; returns [B, T, N, V].

    Raises NotImplementedError for what the kernel does not do.
    """
    tokamax: Any = import_module("tokamax")
    out: Array = tokamax.dot_product_attention(
        q,
        k,
        v,
        scale=parsed.scale,
        is_causal=parsed.mask.kind in ("causal", "window"),
        local_window_size=(parsed.mask.size - 1, 0) if parsed.mask.kind == "window" else None,
        implementation=kernel,
    )
    return out


def refusal(q: Array, k: Array) -> str:
    """Why tokamax has nothing for this here; empty where only its kernel can tell."""
    if jax.default_backend() != "gpu":
        return "tokamax: needs an NVIDIA GPU"
    if find_spec("tokamax") is None:
        return "tokamax: is not installed; on Python 3.12 and newer: pip install '.[tokamax]'"
    if not q.size or not k.size:
        return "tokamax: needs at least one query and one key"
    if q.dtype == jnp.float64:
        return "tokamax: computes in float32; float64 would lose precision"
    return ""
