"""cuDNN's fused attention through PyTorch: on NVIDIA GPUs, in 16 bits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from compare.schema.contract import Scores, Variant, check, undeclared
from torch_attn import sdpa

VARIANT = Variant(
    summary="cuDNN's fused attention through scaled_dot_product_attention",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for what cuDNN does not do (`refusal`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    return sdpa.call(SDPBackend.CUDNN_ATTENTION, q, k, v, parsed)


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why cuDNN cannot do this here; empty where it can."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if q.device.type != "cuda":
        return "cuDNN needs an NVIDIA GPU"
    if q.dtype not in (torch.bfloat16, torch.float16):
        return f"cuDNN needs bfloat16 or float16, got {q.dtype}"
    sizes = sdpa.sizes_refused(q, k, v, parsed, causal_square=True, multiple=8)
    reason = sizes or sdpa.asked("CUDNN_ATTENTION", q, k, v, parsed)
    return f"cuDNN: {reason}" if reason else ""
