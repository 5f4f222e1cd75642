"""Attention on a part of the keys, with the log-sum-exp by which parts are merged, and the gradients of such a part.

By PyTorch's own operators: cuDNN's attention on a GPU, its flash attention on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from compare.schema.contract import Scores

Part = tuple[Tensor, Tensor]
Gradients = tuple[Tensor, Tensor, Tensor]
aten: Any = torch.ops.aten


def refusal(q: Tensor, v: Tensor) -> str:
    """Why these operators cannot do this; empty where they can."""
    if q.shape[-1] != v.shape[-1]:
        return f"needs one head size for q, k and v, got {q.shape[-1]} and {v.shape[-1]}"
    if q.is_cuda and q.dtype not in (torch.bfloat16, torch.float16):
        return f"needs bfloat16 or float16 on a GPU, got {q.dtype}"
    return ""


def forward(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Part:
    """q [B, T, N, H] on k [B, S, K, H] and v [B, S, K, H]: out [B, T, N, H] and log-sum-exp [B, T, N, 1].

    Both as float32 (float64 of float64), the output rounded to q's dtype before, as kernels round it.
    """
    causal, scale = parsed.mask.kind == "causal", parsed.factor(q.shape[-1])
    heads_first = _turned(q, k, v)
    if q.is_cuda:
        found = aten._scaled_dot_product_cudnn_attention(*heads_first, None, True, 0.0, causal, scale=scale)
    else:
        found = aten._scaled_dot_product_flash_attention_for_cpu(*heads_first, 0.0, causal, scale=scale)
    out, log_sum = found[:2]
    log_sum = log_sum.reshape(out.shape[:3]).transpose(1, 2)[..., None]
    return out.transpose(1, 2).to(log_sum.dtype), log_sum


def backward(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: Part, parsed: Scores) -> Gradients:
    """dQ, dK and dV of a part: of ``whole``, output and log-sum-exp over all keys, only these keys' share."""
    out, log_sum = whole[0].to(q.dtype), whole[1].squeeze(-1).transpose(1, 2).contiguous()
    causal, scale = parsed.mask.kind == "causal", parsed.factor(q.shape[-1])
    tensors = _turned(d_out, q, k, v, out)
    if q.is_cuda:
        seed = torch.zeros(2, dtype=torch.int64, device=q.device)  # of a dropout that there is not
        rest = (seed[0], seed[1], None, None, None, q.shape[1], k.shape[1], 0.0, causal)
        found = aten._scaled_dot_product_cudnn_attention_backward(*tensors, log_sum[..., None], *rest, scale=scale)
    else:
        found = aten._scaled_dot_product_flash_attention_for_cpu_backward(*tensors, log_sum, 0.0, causal, scale=scale)
    d_q, d_k, d_v = _turned(*found)
    return d_q, d_k, d_v


def merge(one: Part, other: Part) -> Part:
    """Attention on the keys of both."""
    share = torch.sigmoid(other[1] - one[1])  # exp(other) / (exp(one) + exp(other))
    return torch.lerp(one[0], other[0], share), torch.logaddexp(one[1], other[1])


def _turned(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(each.transpose(1, 2) for each in tensors)
