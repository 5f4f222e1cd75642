"""Sequence parallelism by heads: an all-to-all gives each rank the whole sequence of some heads, one gives it back.

DeepSpeed Ulysses (Jacobs et al. 2023, arXiv:2309.14509); between them runs what `fused` runs on one device.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from compare.maths import zigzag
from compare.schema.contract import Variant, check
from torch_attn import sequence
from torch_attn.variants import fused

VARIANT = Variant(
    summary="Sequence parallelism over heads by all-to-all (DeepSpeed Ulysses)",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="all_to_all",
    alone="fused",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    T and S lie over the ranks as `compare.maths.zigzag` says; the tensors hold those of this rank.  Raises ValueError
    for shapes or a mask that do not fit, NotImplementedError for lengths or heads that the ranks cannot share.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    sequence.check(q, k, v, parsed)
    if reason := zigzag.heads_refused(q.shape[2], k.shape[2], sequence.devices()):
        raise NotImplementedError(reason)
    causal = parsed.mask.kind == "causal"
    q, k, v = (_in_order(_exchanged(each, True), causal) for each in (q, k, v))
    return _exchanged(_in_order(fused.attention(q, k, v, mask=mask, scale=scale), causal, back=True), False)


class _Exchange(torch.autograd.Function):
    """[B, T, N, H], cut along heads (or positions) and joined along positions (or heads); its gradient goes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by_heads: bool) -> Tensor:
        ctx.by_heads = by_heads
        cut, joined = (2, 1) if by_heads else (1, 2)
        sent = torch.stack(x.chunk(sequence.devices(), cut))
        received = torch.empty_like(sent)
        dist.all_to_all_single(received.flatten(0, 1), sent.flatten(0, 1))
        return torch.cat(list(received), joined)

    @staticmethod
    def backward(ctx: Any, *d_outs: Tensor) -> Any:
        return _exchanged(d_outs[0], not ctx.by_heads), None


def _exchanged(x: Tensor, by_heads: bool) -> Tensor:
    found: Tensor = _Exchange.apply(x, by_heads)
    return found


def _in_order(x: Tensor, causal: bool, back: bool = False) -> Tensor:
    """From the order of the ranks to that of the sequence, a chunk at a time, or back."""
    if not causal:
        return x
    order = zigzag.chunks(sequence.devices(), back)
    parts = x.chunk(len(order), 1)
    return torch.cat([parts[each] for each in order], 1)
