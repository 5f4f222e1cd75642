"""FlexAttention: a fused kernel that PyTorch's compiler writes for the mask, block by block."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from compare.schema.contract import Mask, Scores, Variant, check, undeclared, visible

VARIANT = Variant(
    summary="FlexAttention: a kernel that PyTorch's compiler writes for the mask",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    skips=("window",),
    solution="FlashAttention",
    only="JAX has no compiler for masks that are given as functions",
)

SMALLEST_HEAD = 16  # of its Triton kernels


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    The kernel is compiled in eager mode too, where flex_attention alone would hold all scores.  Which blocks the mask
    shows is worked out once for each shape, before the samples (Dong et al. 2024, arXiv:2412.05496).  The softmax
    and the sums inside the products are float32.  Raises ValueError for shapes or a mask that do not fit,
    NotImplementedError where it does not run (`refusal`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    blocks = None if parsed.mask.kind == "full" else block_mask(parsed.mask, q.shape[1], k.shape[1], str(q.device))
    run: Any = flex_attention if torch.compiler.is_compiling() else compiled()
    heads_first = (each.transpose(1, 2) for each in (q, k, v))
    out: Tensor = run(*heads_first, block_mask=blocks, scale=parsed.scale, enable_gqa=q.shape[2] != k.shape[2])
    return out.transpose(1, 2)


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why it does not run on these inputs; empty where it does."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if q.device.type == "cpu" and torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        return "flex: PyTorch has no backward pass for it on a CPU; possible: --pass forward"
    if q.dtype == torch.float64:
        return "flex: computes in float32; float64 would lose precision"
    if min(q.shape[-1], v.shape[-1]) < SMALLEST_HEAD:
        return f"flex: needs head sizes of at least {SMALLEST_HEAD}, got {q.shape[-1]} and {v.shape[-1]}"
    if not q.numel():
        return "flex: needs at least one query"
    return ""


@cache
def compiled() -> Any:
    """flex_attention as a kernel of its own; without a guard on the shapes, which would compile it once for several."""
    return torch.compile(flex_attention, dynamic=False)


@torch.compiler.disable  # type: ignore[untyped-decorator]
@cache
def block_mask(mask: Mask, q_len: int, kv_len: int, device: str) -> BlockMask:
    """Which blocks of the scores the mask shows, for all heads of all batch entries."""
    create: Any = torch.compile(create_block_mask, dynamic=False)  # which holds no T x S matrix, as eager does
    blocks: BlockMask = create(lambda b, h, i, j: visible(mask, i, j), None, None, q_len, kv_len, device=device)
    return blocks
