"""PyTorch's varlen_attn: flash attention on packed sequences, which knows a sliding window."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from compare.schema.contract import Scores, Variant, check, undeclared

VARIANT = Variant(
    summary="PyTorch's varlen_attn: flash attention with a sliding window",
    masks=("full", "causal", "window"),
    scores="none",
    recomputes=True,
    skips=("window",),
    solution="FlashAttention",
    only="JAX's window is that of `fused_cudnn`",
)

PARAMETERS = signature(varlen_attn).parameters
UNLIMITED = -1


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError where it does not run (`refusal`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    left = parsed.mask.size - 1 if parsed.mask.kind == "window" else UNLIMITED
    right = 0 if parsed.mask.kind in ("causal", "window") else UNLIMITED
    options: dict[str, Any] = {"window_size": (left, right), "scale": parsed.scale}
    if (times := q.shape[2] // k.shape[2]) > 1:
        if "enable_gqa" in PARAMETERS:
            options["enable_gqa"] = True
        else:  # of an older PyTorch: heads are copied, 8% of the time at T=8192 with 4 of them to a key head
            k, v = (each.repeat_interleave(times, 2) for each in (k, v))
    packed = (each.reshape(-1, *each.shape[2:]) for each in (q, k, v))
    lengths = (q.shape[1], k.shape[1])
    run: Any = varlen_attn
    out: Tensor = run(*packed, *(ends(q.shape[0], length, q.device) for length in lengths), *lengths, **options)
    return out.reshape(*q.shape[:3], v.shape[-1])


def ends(batch: int, length: int, device: torch.device) -> Tensor:
    """Where each sequence of a packed batch begins, and the last one ends: [B + 1]."""
    return torch.arange(batch + 1, device=device, dtype=torch.int32) * length


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why it does not run on these inputs; empty where it does."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if q.device.type != "cuda":
        return "varlen: needs an NVIDIA GPU"
    if not q.numel():
        return "varlen: needs at least one query"
    if q.dtype not in (torch.bfloat16, torch.float16):
        return f"varlen: needs bfloat16 or float16, got {str(q.dtype).removeprefix('torch.')}"
    if parsed.mask.kind != "full" and q.shape[1] != k.shape[1]:
        return f"varlen: aligns masks at the bottom right, so it needs T = S, got {q.shape[1]} and {k.shape[1]}"
    if k.shape[-1] != v.shape[-1]:
        return f"varlen: needs one head size for q, k and v, got {k.shape[-1]} and {v.shape[-1]}"
    missing = [name for name in ("window_size", "scale") if name not in PARAMETERS]
    return f"varlen: this PyTorch's has no {' and no '.join(missing)}" if missing else ""
