"""The strongest fused attention that JAX has here: cuDNN's where it runs, blocks of queries elsewhere."""

from __future__ import annotations

from jax import Array

from compare.schema.contract import Mask, check
from jax_attn.variants import fused_chunked, fused_cudnn


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask)
    if chosen(q, k, v, parsed) == "fused_cudnn":
        return fused_cudnn.attention(q, k, v, mask=mask, scale=scale)
    return fused_chunked.attention(q, k, v, mask=mask, scale=scale)


def chosen(q: Array, k: Array, v: Array, mask: Mask) -> str:
    """The name of the variant that runs."""
    return "fused_chunked" if fused_cudnn.refusal(q, k, v, mask) else "fused_cudnn"
