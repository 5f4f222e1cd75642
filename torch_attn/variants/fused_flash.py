"""PyTorch's flash attention: FlashAttention-2 on a GPU, a kernel of PyTorch's own on a CPU."""

from __future__ import annotations

import torch
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
    return sdpa.call(SDPBackend.FLASH_ATTENTION, q, k, v, parsed, scale)


def refusal(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> str:
    """Why the kernel cannot do this here; empty where it can."""
    on_gpu = q.device.type == "cuda"
    if on_gpu and q.dtype not in (torch.bfloat16, torch.float16):
        return f"flash attention needs bfloat16 or float16 on a GPU, got {q.dtype}"
    if on_gpu and mask.kind in ("window", "strided"):
        return f"PyTorch's flash attention takes no mask on a GPU, got {mask.kind}"
    sizes = sdpa.sizes_refused(q, k, v, mask, causal_square=on_gpu, multiple=8 if on_gpu else 1)
    reason = sizes or (sdpa.asked("FLASH_ATTENTION", q, k, v, mask) if on_gpu else "")
    return f"flash attention: {reason}" if reason else ""
