"""PyTorch's memory-efficient attention (xFormers), on NVIDIA GPUs, in float32 too."""

from __future__ import annotations

from torch import Tensor
from torch.nn.attention import SDPBackend

from compare.schema.contract import Mask, check
from torch_attn import sdpa


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for what the kernel does not do.
    """
    parsed = check(q.shape, k.shape, v.shape, mask)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    return sdpa.call(SDPBackend.EFFICIENT_ATTENTION, q, k, v, parsed, scale)


def refusal(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> str:
    """Why the kernel cannot do this here; empty where it can."""
    if q.device.type != "cuda":
        return "memory-efficient attention needs an NVIDIA GPU"
    if q.shape[2] != k.shape[2]:
        return f"memory-efficient attention needs as many key heads as query heads, got {k.shape[2]} and {q.shape[2]}"
    sizes = sdpa.sizes_refused(q, k, v, mask, causal_square=False, multiple=4)
    reason = sizes or sdpa.asked("EFFICIENT_ATTENTION", q, k, v, mask)
    return f"memory-efficient attention: {reason}" if reason else ""
