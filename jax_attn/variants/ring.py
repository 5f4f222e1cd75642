"""Ring attention: keys and values travel from device to device, results are merged by their log-sum-exp.

Liu et al. 2023, arXiv:2310.01889; under a causal mask in the zigzag layout, where no device computes what it masks.  In
the backward pass the gradients of keys and values travel along with them, and one step further, home.
"""

from __future__ import annotations

from jax import Array

from compare.schema.contract import Scores, Variant, check
from jax_attn import blocks, sequence
from jax_attn.blocks import Part
from jax_attn.sequence import Gradients
from jax_attn.variants import fused

VARIANT = Variant(
    summary="Ring attention: keys and values travel from device to device",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="ring",
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


def _forward(q: Array, k: Array, v: Array, parsed: Scores) -> Part:
    whole = blocks.forward(q, k, v, parsed)
    for step in range(1, sequence.devices()):
        k, v = sequence.shifted(k, v)
        whole = sequence.add(whole, q, k, v, sequence.owner(step), parsed)
    return whole


def _backward(d_out: Array, q: Array, k: Array, v: Array, whole: Part, parsed: Scores) -> Gradients:
    d_q, d_k, d_v = sequence.own(d_out, q, k, v, whole, parsed)
    for step in range(1, sequence.devices()):
        k, v, d_k, d_v = sequence.shifted(k, v, d_k, d_v)
        more = sequence.share(d_out, q, k, v, whole, sequence.owner(step), parsed)
        d_q, d_k, d_v = d_q + more[0], d_k + more[1], d_v + more[2]
    d_k, d_v = sequence.shifted(d_k, d_v)
    return d_q, d_k, d_v


_attend = sequence.attend(_forward, _backward)
