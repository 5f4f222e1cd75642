"""Sequence parallelism by heads: an all-to-all gives each device the whole sequence of some heads, one gives it back.

DeepSpeed Ulysses (Jacobs et al. 2023, arXiv:2309.14509); between them runs what `fused` runs on one device.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from compare.maths import zigzag
from compare.schema.contract import Variant, check
from jax_attn import sequence
from jax_attn.sequence import AXIS
from jax_attn.variants import fused

VARIANT = Variant(
    summary="Sequence parallelism over heads by all-to-all (DeepSpeed Ulysses)",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="all_to_all",
    alone="fused",
)


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    T and S lie over the devices of the mesh as `compare.maths.zigzag` says.  Raises ValueError for shapes or a mask
    that do not fit, NotImplementedError for lengths or heads that the devices cannot share.
    The softmax and the sums inside the products are float32, or float64 for float64 inputs.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    sequence.check(q, k, parsed)
    if reason := zigzag.heads_refused(q.shape[2], k.shape[2], sequence.devices()):
        raise NotImplementedError(reason)
    attend = partial(fused.attention, mask=mask, scale=scale)
    return sequence.over_devices(partial(_local, attend, parsed.mask.kind == "causal"), q, k, v)


def _local(attend: sequence.Local, causal: bool, q: Array, k: Array, v: Array) -> Array:
    q, k, v = (_in_order(_exchanged(each, 2, 1), causal) for each in sequence.sent_anew(q, k, v))
    out = _in_order(attend(q, k, v), causal, back=True)
    return _exchanged(out, 1, 2)


def _exchanged(x: Array, split_axis: int, concat_axis: int) -> Array:
    found: Array = jax.lax.all_to_all(x, AXIS, split_axis, concat_axis, tiled=True)  # type: ignore[no-untyped-call]
    return found


def _in_order(x: Array, causal: bool, back: bool = False) -> Array:
    """From the order of the devices to that of the sequence, a chunk at a time, or back."""
    if not causal:
        return x
    order = zigzag.chunks(sequence.devices(), back)
    parts = jnp.split(x, len(order), 1)
    return jnp.concatenate([parts[each] for each in order], 1)
