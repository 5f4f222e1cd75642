"""Keys and values of all devices gathered on each, forward and backward; their gradients summed where they belong.

As in Llama 3's training (Dubey et al. 2024, arXiv:2407.21783, section 3.3.2), in the zigzag layout under a causal mask.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores, Variant, check
from jax_attn import blocks, sequence
from jax_attn.blocks import Part
from jax_attn.sequence import AXIS, Gradients
from jax_attn.variants import fused

VARIANT = Variant(
    summary="Keys and values of all devices gathered on each",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="allgather",
    alone="fused",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    T and S lie over the devices of the mesh as `compare.maths.zigzag` says.  Raises ValueError for shapes or a mask
    that do not fit, NotImplementedError for lengths that the devices cannot share.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    return sequence.shared(_attend, q, k, v, parsed)


def _gathered(*arrays: Array) -> list[Array]:
    return [jax.lax.all_gather(each, AXIS) for each in arrays]


def _forward(q: Array, k: Array, v: Array, parsed: Scores) -> Part:
    whole = blocks.forward(q, k, v, parsed)
    keys, values = _gathered(k, v)
    for step in range(1, sequence.devices()):
        owner = sequence.owner(step)
        whole = sequence.add(whole, q, keys[owner], values[owner], owner, parsed)
    return whole


def _backward(d_out: Array, q: Array, k: Array, v: Array, whole: Part, parsed: Scores) -> Gradients:
    d_q, d_k, d_v = sequence.own(d_out, q, k, v, whole, parsed)
    keys, values = _gathered(k, v)
    of_all = [jnp.zeros((sequence.devices(), *each.shape), each.dtype) for each in (d_k, d_v)]
    of_all = [every.at[sequence.rank()].set(own) for every, own in zip(of_all, (d_k, d_v), strict=True)]
    for step in range(1, sequence.devices()):
        owner = sequence.owner(step)
        part, *parts = sequence.share(d_out, q, keys[owner], values[owner], whole, owner, parsed)
        d_q = d_q + part
        of_all = [every.at[owner].set(new) for every, new in zip(of_all, parts, strict=True)]
    d_k, d_v = (jax.lax.psum_scatter(each, AXIS) for each in of_all)  # type: ignore[no-untyped-call]
    return d_q, d_k, d_v


_attend = sequence.attend(_forward, _backward)
