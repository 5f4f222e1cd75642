"""The strongest fused attention that PyTorch has here: cuDNN's, then flash, then memory-efficient attention.

Under a window varlen_attn comes first, which alone of them skips what it hides.  The order is fixed, not measured.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from compare.schema.contract import Mask, check
from torch_attn.variants import fused_cudnn, fused_efficient, fused_flash, varlen

STRONGEST_FIRST = {"fused_cudnn": fused_cudnn, "fused_flash": fused_flash, "fused_efficient": fused_efficient}


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    Raises ValueError for shapes or a mask that do not fit, NotImplementedError where none of them does this.
    """
    parsed = check(q.shape, k.shape, v.shape, mask)
    strongest: Any = (STRONGEST_FIRST | {"varlen": varlen})[chosen(q, k, v, parsed)]
    out: Tensor = strongest.attention(q, k, v, mask=mask, scale=scale)
    return out


def chosen(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> str:
    """The name of the variant that runs."""
    first: dict[str, Any] = {"varlen": varlen} if mask.kind == "window" else {}
    reasons = {name: each.refusal(q, k, v, mask) for name, each in (first | STRONGEST_FIRST).items()}
    for name, reason in reasons.items():
        if not reason:
            return name
    raise NotImplementedError("; ".join(reasons.values()))
