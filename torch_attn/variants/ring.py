"""Ring attention: keys and values travel from rank to rank, results are merged by their log-sum-exp.

Liu et al. 2023, arXiv:2310.01889; under a causal mask in the zigzag layout, where no rank computes what it masks.  In
the backward pass the gradients of keys and values travel along with them, and one step further, home.
"""

from __future__ import annotations

from torch import Tensor

from compare.schema.contract import Scores, Variant, check
from torch_attn import blocks, sequence
from torch_attn.blocks import Gradients, Part
from torch_attn.sequence import Coming
from torch_attn.variants import fused

VARIANT = Variant(
    summary="Ring attention: keys and values travel from device to device",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="ring",
    alone="fused",
)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    T and S lie over the ranks as `compare.maths.zigzag` says; the tensors hold those of this rank.  Raises ValueError
    for shapes or a mask that do not fit, NotImplementedError for lengths that the ranks cannot share.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    return sequence.shared(_attend, q, k, v, parsed)


def _forward(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Part:
    coming = Coming(k, v)
    whole = blocks.forward(q, k, v, parsed)
    for step in range(1, sequence.devices()):
        k, v = coming.arrived()
        coming = _further(step, k, v)
        whole = sequence.add(whole, q, k, v, sequence.owner(step), parsed)
    return whole


def _backward(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: Part, parsed: Scores) -> Gradients:
    coming = Coming(k, v)
    d_q, d_k, d_v = sequence.own(d_out, q, k, v, whole, parsed)
    for step in range(1, sequence.devices()):
        k, v = coming.arrived()
        coming, sums = _further(step, k, v), Coming(d_k, d_v)
        shares = sequence.share(d_out, q, k, v, whole, sequence.owner(step), parsed)
        d_k, d_v = sums.arrived()
        for share, total in zip(shares, (d_q, d_k, d_v), strict=True):
            share.add_to(total)
    d_k, d_v = Coming(d_k, d_v).arrived()
    return d_q, d_k, d_v


def _further(step: int, k: Tensor, v: Tensor) -> Coming:
    """Keys and values go on, unless they have been everywhere."""
    return Coming(k, v) if step + 1 < sequence.devices() else Coming()


_attend = sequence.attend(_forward, _backward)
