"""tokamax's attention with its kernel pinned: left alone it falls back to XLA in silence."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import jax
from jax import Array

from compare.schema.contract import Mask

Kernel = Literal["mosaic", "triton"]


def call(kernel: Kernel, q: Array, k: Array, v: Array, mask: Mask, scale: float | None) -> Array:
    """Attention on q [B, T, N, H], k [B, S, K, H], v [B, S, K, V] by one kernel; returns [B, T, N, V].

    Raises NotImplementedError for what `refusal` names, and for what tokamax's kernel does not do.
    """
    if reason := refusal(kernel, q, k, mask):
        raise NotImplementedError(reason)
    tokamax: Any = import_module("tokamax")
    out: Array = tokamax.dot_product_attention(
        q,
        k,
        v,
        scale=scale,
        is_causal=mask.kind != "full",
        local_window_size=(mask.size - 1, 0) if mask.kind == "window" else None,
        implementation=kernel,
    )
    return out


def refusal(kernel: Kernel, q: Array, k: Array, mask: Mask) -> str:
    """Why tokamax has nothing for this here; empty where only its kernel can tell."""
    if jax.default_backend() != "gpu":
        return "tokamax: needs an NVIDIA GPU"
    if find_spec("tokamax") is None:
        return "tokamax: is not installed; on Python 3.12 and newer: pip install '.[tokamax]'"
    if not q.size or not k.size:
        return "tokamax: needs at least one query and one key"
    if mask.kind == "strided":
        return "tokamax: has no strided mask"
    if mask.kind == "window" and kernel == "triton":
        return "tokamax: its Triton kernel would hold a whole T x S mask for a window"
    return ""
