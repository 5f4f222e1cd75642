"""tokamax's FlashAttention as a Pallas kernel on Triton: NVIDIA GPUs, an extra of this package."""

from __future__ import annotations

from jax import Array

from compare.schema.contract import Mask, check
from jax_attn import tokamax_kernels


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    Raises ValueError for shapes or a mask that do not fit, NotImplementedError where the kernel does not run.
    """
    return tokamax_kernels.call("triton", q, k, v, check(q.shape, k.shape, v.shape, mask), scale)


def refusal(q: Array, k: Array, v: Array, mask: Mask) -> str:
    """Why tokamax has nothing for this here; empty where only its kernel can tell."""
    return tokamax_kernels.refusal("triton", q, k, mask)
