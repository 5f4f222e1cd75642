"""JAX's own attention, `jax.nn.dot_product_attention`, as XLA compiles it: float32 scores, no kernel of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Mask, check, visible


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for another head size of v than of k,
    and for float16 on a CPU.
    """
    parsed = check(q.shape, k.shape, v.shape, mask)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    seen = None
    if parsed.kind in ("window", "strided"):
        seen = visible(parsed, jnp.arange(q.shape[1])[:, None], jnp.arange(k.shape[1])[None, :])[None, None]
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        mask=seen,
        scale=scale,
        is_causal=parsed.kind == "causal",
        implementation="xla",
    )


def refusal(q: Array, k: Array, v: Array, mask: Mask) -> str:
    """Why it does not run on these inputs; empty where it does."""
    if k.shape != v.shape:
        return f"jax.nn.dot_product_attention needs k and v alike, got {k.shape} and {v.shape}"
    if q.dtype == jnp.float16 and jax.default_backend() == "cpu":
        return "fused_xla: XLA has no float16 product with float32 sums on a CPU"
    return ""
