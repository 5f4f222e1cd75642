"""The strongest fused attention that JAX has here: cuDNN's where it runs, blocks of queries elsewhere."""

from __future__ import annotations

from jax import Array

from compare.schema.contract import Scores, Variant, check, undeclared
from jax_attn.variants import fused_chunked, fused_cudnn

VARIANT = Variant(
    summary="The strongest fused attention of JAX that runs here",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
    candidates=("fused_cudnn", "fused_chunked"),
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit (`compare.schema.contract.check`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if chosen(q, k, v, parsed) == "fused_cudnn":
        return fused_cudnn.attention(q, k, v, mask=mask, scale=scale)
    return fused_chunked.attention(q, k, v, mask=mask, scale=scale)


def chosen(q: Array, k: Array, v: Array, parsed: Scores) -> str:
    """The name of the variant that runs."""
    if reason := undeclared(__name__, VARIANT, parsed):
        raise NotImplementedError(reason)
    strongest, everywhere = VARIANT.candidates
    return everywhere if fused_cudnn.refusal(q, k, v, parsed) else strongest
