"""Keys and values of all ranks gathered on each, forward and backward; their gradients summed where they belong.

As in Llama 3's training (Dubey et al. 2024, arXiv:2407.21783, section 3.3.2), in the zigzag layout under a causal mask.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from compare.schema.contract import Scores, Variant, check
from torch_attn import blocks, sequence
from torch_attn.blocks import Gradients, Part
from torch_attn.variants import fused

VARIANT = Variant(
    summary="Keys and values of all devices gathered on each",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="allgather",
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


def _gathered(*tensors: Tensor) -> list[Tensor]:
    found = []
    for each in tensors:
        of_all = each.new_empty((sequence.devices(), *each.shape))
        dist.all_gather_into_tensor(of_all.flatten(0, 1), each.contiguous())
        found.append(of_all)
    return found


def _scattered_sum(of_all: Tensor) -> Tensor:
    found = torch.empty_like(of_all[0])
    dist.reduce_scatter_tensor(found, of_all.flatten(0, 1))
    return found


def _forward(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Part:
    whole = blocks.forward(q, k, v, parsed)
    keys, values = _gathered(k, v)
    for step in range(1, sequence.devices()):
        owner = sequence.owner(step)
        whole = sequence.add(whole, q, keys[owner], values[owner], owner, parsed)
    return whole


def _backward(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: Part, parsed: Scores) -> Gradients:
    d_q, d_k, d_v = sequence.own(d_out, q, k, v, whole, parsed)
    keys, values = _gathered(k, v)
    of_all = [each.new_zeros((sequence.devices(), *each.shape)) for each in (d_k, d_v)]
    of_all[0][sequence.rank()], of_all[1][sequence.rank()] = d_k, d_v
    for step in range(1, sequence.devices()):
        owner = sequence.owner(step)
        shares = sequence.share(d_out, q, keys[owner], values[owner], whole, owner, parsed)
        for share, total in zip(shares, (d_q, of_all[0][owner], of_all[1][owner]), strict=True):
            share.add_to(total)
    return d_q, _scattered_sum(of_all[0]), _scattered_sum(of_all[1])


_attend = sequence.attend(_forward, _backward)
