"""PyTorch's flash attention: FlashAttention-2 on a GPU, a kernel of PyTorch's own on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from compare.schema.contract import Scores, Variant, check, undeclared
from torch_attn import sdpa

VARIANT = Variant(
    summary="PyTorch's flash attention: FlashAttention-2 on a GPU, its own kernel on a CPU",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
    only="JAX has no binding to these kernels",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for what the kernel does not do.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    return sdpa.call(SDPBackend.FLASH_ATTENTION, q, k, v, parsed)


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why the kernel cannot do this here; empty where it can."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    on_gpu = q.device.type == "cuda"
    if on_gpu and q.dtype not in (torch.bfloat16, torch.float16):
        return f"flash attention needs bfloat16 or float16 on a GPU, got {q.dtype}"
    if on_gpu and parsed.mask.kind not in ("full", "causal"):
        return f"PyTorch's flash attention takes no mask on a GPU, got {parsed.mask.kind}"
    sizes = sdpa.sizes_refused(q, k, v, parsed, causal_square=on_gpu, multiple=8 if on_gpu else 1)
    reason = sizes or (sdpa.asked("FLASH_ATTENTION", q, k, v, parsed) if on_gpu else "")
    return f"flash attention: {reason}" if reason else ""
