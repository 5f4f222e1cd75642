"""The strongest fused attention that PyTorch has here: cuDNN's, then flash, then memory-efficient attention.

Under a window varlen_attn comes first, which alone of them skips what it hides.  The order is fixed, not measured.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

from compare.schema.contract import Scores, Variant, check, undeclared

VARIANT = Variant(
    summary="The strongest fused attention of PyTorch that runs here",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
    candidates=("varlen", "fused_cudnn", "fused_flash", "fused_efficient"),
)

# Modules by name, strongest first.  Imported here, for a compiled program cannot import.
CANDIDATES: dict[str, Any] = {name: import_module(f"{__package__}.{name}") for name in VARIANT.candidates}


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError where none of them does this.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    strongest = CANDIDATES[chosen(q, k, v, parsed)]
    out: Tensor = strongest.attention(q, k, v, mask=mask, scale=scale)
    return out


def chosen(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """The name of the variant that runs."""
    if reason := undeclared(__name__, VARIANT, parsed):
        raise NotImplementedError(reason)
    windowed = parsed.mask.kind == "window"  # only there does varlen compute less than the others
    names = [name for name in CANDIDATES if windowed or name != "varlen"]
    reasons = {name: CANDIDATES[name].refusal(q, k, v, parsed) for name in names}
    for name, reason in reasons.items():
        if not reason:
            return name
    raise NotImplementedError("; ".join(reasons.values()))
