"""JAX's own attention, `jax.nn.dot_product_attention`, as XLA compiles it: float32 scores, no kernel of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores, Variant, check, undeclared, visible

VARIANT = Variant(
    summary="jax.nn.dot_product_attention as XLA compiles it",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    kept_scores=3,
    only="PyTorch's counterpart is its math fallback, which is `naive`",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32.  Raises ValueError for shapes or a mask that do not fit,
    NotImplementedError for another head size of v than of k, for float64, and for float16 on a CPU.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    seen = None
    if parsed.mask.kind in ("window", "strided"):
        seen = visible(parsed.mask, jnp.arange(q.shape[1])[:, None], jnp.arange(k.shape[1])[None, :])[None, None]
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        mask=seen,
        scale=parsed.scale,
        is_causal=parsed.mask.kind == "causal",
        implementation="xla",
    )


def refusal(q: Array, k: Array, v: Array, parsed: Scores) -> str:
    """Why it does not run on these inputs; empty where it does."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if k.shape != v.shape:
        return f"jax.nn.dot_product_attention needs k and v alike, got {k.shape} and {v.shape}"
    if q.dtype == jnp.float64:
        return "jax.nn.dot_product_attention computes the softmax in float32; float64 would lose precision"
    if q.dtype == jnp.float16 and jax.default_backend() == "cpu":
        return "fused_xla: XLA has no float16 product with float32 sums on a CPU"
    return ""
