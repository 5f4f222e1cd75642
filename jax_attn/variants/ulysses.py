"""Sequence parallelism by heads: an all-to-all gives each device the whole sequence of some heads, one gives it back.

DeepSpeed Ulysses (Jacobs et al. 2023, arXiv:2309.14509); between them runs what `fused` runs on one device.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from compare.maths import zigzag
from compare.schema import contract
from jax_attn import sequence
from jax_attn.sequence import AXIS
from jax_attn.variants import fused


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; returns [B, T, N, V].

    T and S lie over the devices of the mesh as `compare.maths.zigzag` says.  Raises ValueError for shapes or a mask
    that do not fit, NotImplementedError for lengths or heads that the devices cannot share.
    """
    parsed = contract.check(q.shape, k.shape, v.shape, mask)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    sequence.check(q, k, parsed)
    if reason := zigzag.heads_refused(q.shape[2], k.shape[2], sequence.devices()):
        raise NotImplementedError(reason)
    return sequence.over_devices(partial(_local, mask, scale), q, k, v)


def _local(mask: str, scale: float | None, q: Array, k: Array, v: Array) -> Array:
    causal = mask == "causal"
    q, k, v = (_in_order(_exchanged(each, 2, 1), causal) for each in sequence.sent_anew(q, k, v))
    out = _in_order(fused.attention(q, k, v, mask=mask, scale=scale), causal, back=True)
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
