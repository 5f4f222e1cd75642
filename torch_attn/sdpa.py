"""PyTorch's scaled_dot_product_attention with its kernel pinned: left alone it picks one in silence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.backends.cuda import (
    SDPAParams,
    can_use_cudnn_attention,
    can_use_efficient_attention,
    can_use_flash_attention,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from compare.schema.contract import Scores, visible

ASKED: dict[str, Any] = {
    "CUDNN_ATTENTION": can_use_cudnn_attention,
    "FLASH_ATTENTION": can_use_flash_attention,
    "EFFICIENT_ATTENTION": can_use_efficient_attention,
}


def call(kernel: SDPBackend, q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Tensor:
    """Attention on q [B, T, N, H], k [B, S, K, H], v [B, S, K, H] by one kernel; returns [B, T, N, H]."""
    seen = None
    if parsed.mask.kind not in ("full", "causal"):
        i, j = (torch.arange(each.shape[1], device=q.device) for each in (q, k))
        seen = visible(parsed.mask, i[:, None], j[None, :])
    grouped = q.shape[2] != k.shape[2]
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    with sdpa_kernel(kernel):
        out = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=seen,
            is_causal=parsed.mask.kind == "causal",
            scale=parsed.scale,
            enable_gqa=grouped,
        )
    return out.transpose(1, 2)


def sizes_refused(q: Tensor, k: Tensor, v: Tensor, parsed: Scores, *, causal_square: bool, multiple: int) -> str:
    """Why shapes do not suit a kernel; empty where they do."""
    if not q.numel():
        return "needs at least one query"
    if k.shape[-1] != v.shape[-1]:
        return f"needs one head size for q, k and v, got {k.shape[-1]} and {v.shape[-1]}"
    if q.shape[-1] % multiple:
        return f"needs a head size that is a multiple of {multiple}, got {q.shape[-1]}"
    if causal_square and parsed.mask.kind == "causal" and q.shape[1] != k.shape[1]:
        return f"has a causal mask only where T is S, got {q.shape[1]} and {k.shape[1]}"
    return ""


def asked(kernel: str, q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why PyTorch itself would not run a kernel on a GPU, in its own words; empty where it would.

    A compiled program breaks its graph here where its shapes are dynamic, for they are no constants then.
    """
    trained = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    tensors = tuple((tuple(x.shape), tuple(x.stride()), x.dtype) for x in (q, k, v))
    answer: str = _answer(kernel, tensors, str(q.device), parsed.mask.kind, trained)
    return answer


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _answer(*question: Any) -> str:
    return _asked_once(*question)  # a function of its own: Dynamo looks through a cache and would trace what it holds


@cache
def _asked_once(
    kernel: str, tensors: Sequence[tuple[Any, Any, torch.dtype]], device: str, kind: str, trained: bool
) -> str:
    with FakeTensorMode():  # shapes without memory: it asks for nothing else
        q, k, v = (
            torch.empty_strided(*sizes, dtype=dtype, device=device, requires_grad=trained) for *sizes, dtype in tensors
        )
        seen = None
        if kind not in ("full", "causal"):
            seen = torch.empty(q.shape[1], k.shape[1], dtype=torch.bool, device=device)
        query, key, value = (each.transpose(1, 2) for each in (q, k, v))
    params = SDPAParams(query, key, value, seen, 0.0, kind == "causal", q.shape[2] != k.shape[2])
    with sdpa_kernel(getattr(SDPBackend, kernel)), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        if ASKED[kernel](params, True):
            return ""
    told = [str(each.message).split(" (Triggered internally")[0] for each in heard]
    return " ".join(each for each in told if not each.endswith("because:")) or "PyTorch does not say why"
