"""tokamax's FlashAttention as a Pallas kernel on Triton: NVIDIA GPUs, an extra of this package."""

from __future__ import annotations

from jax import Array

from compare.schema.contract import Scores, Variant, check, undeclared
from jax_attn import tokamax_kernels

VARIANT = Variant(
    summary="tokamax's FlashAttention as a Pallas kernel on Triton",
    masks=("full", "causal"),  # for a window the kernel would hold a whole T x S mask
    scores="none",
    recomputes=True,
    solution="FlashAttention",
    only="tokamax is a library for JAX",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    The softmax and the sums inside the products are float32.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError where the kernel does not run.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    return tokamax_kernels.call("triton", q, k, v, parsed)


def refusal(q: Array, k: Array, v: Array, parsed: Scores) -> str:
    """Why tokamax has nothing for this here; empty where only its kernel can tell."""
    return undeclared(__name__, VARIANT, parsed) or tokamax_kernels.refusal(q, k)
