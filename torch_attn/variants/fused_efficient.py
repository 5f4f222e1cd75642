"""PyTorch's memory-efficient attention (xFormers), on NVIDIA GPUs, in float32 too."""

from __future__ import annotations

from torch import Tensor
from torch.nn.attention import SDPBackend

from compare.schema.contract import Scores, Variant, check, undeclared
from torch_attn import sdpa

VARIANT = Variant(
    summary="PyTorch's memory-efficient attention (xFormers)",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
    only="JAX has no binding to this kernel",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for what the kernel does not do.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    return sdpa.call(SDPBackend.EFFICIENT_ATTENTION, q, k, v, parsed)


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why the kernel cannot do this here; empty where it can."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if q.device.type != "cuda":
        return "memory-efficient attention needs an NVIDIA GPU"
    if q.shape[2] != k.shape[2]:
        return f"memory-efficient attention needs as many key heads as query heads, got {k.shape[2]} and {q.shape[2]}"
    sizes = sdpa.sizes_refused(q, k, v, parsed, causal_square=False, multiple=4)
    reason = sizes or sdpa.asked("EFFICIENT_ATTENTION", q, k, v, parsed)
    return f"memory-efficient attention: {reason}" if reason else ""
