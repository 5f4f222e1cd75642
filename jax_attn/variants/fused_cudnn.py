"""cuDNN's fused attention through `jax.nn.dot_product_attention`: on NVIDIA GPUs, in 16 bits."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores, Variant, check, undeclared

VARIANT = Variant(
    summary="cuDNN's fused attention through jax.nn.dot_product_attention",
    masks=("full", "causal", "window"),
    scores="none",
    recomputes=True,
    skips=("window",),
    solution="FlashAttention",
)

SMALL = 128  # positions of what is tried
NO_LATER_KEYS = ("causal", "window")  # masks that hide all keys after a query


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Array:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    The softmax and the sums inside the products are float32.
    Raises ValueError for shapes or a mask that do not fit, NotImplementedError for what cuDNN does not do (`refusal`).
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    if q.shape[1] % 2 or k.shape[1] % 2:
        return _odd(parsed, q, k, v)
    return _cudnn(parsed, q, k, v)


def _cudnn(parsed: Scores, q: Array, k: Array, v: Array, kv_len: int | None = None) -> Array:
    """By cuDNN; of k and v the first ``kv_len`` positions count."""
    causal = parsed.mask.kind in NO_LATER_KEYS
    out: Array = jax.nn.dot_product_attention(
        q,
        k,
        v,
        scale=parsed.scale,
        is_causal=causal,  # of a window too, or jax.nn looks into the future (jax-ml/jax#39576)
        local_window_size=(parsed.mask.size - 1, 0) if parsed.mask.kind == "window" else None,
        key_value_seq_lengths=None if kv_len is None else jnp.full(len(k), kv_len, jnp.int32),
        implementation="cudnn",
    )
    return out


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _odd(parsed: Scores, q: Array, k: Array, v: Array) -> Array:
    """As it is; where a gradient is wanted with a position more, for JAX has cuDNN train on even lengths only."""
    return _cudnn(parsed, q, k, v)


def _made_even(parsed: Scores, q: Array, k: Array, v: Array) -> Array:
    hidden = parsed.mask.kind not in NO_LATER_KEYS and k.shape[1] % 2  # the added key; the others hide it anyway
    out = _cudnn(parsed, even(q), even(k), even(v), k.shape[1] if hidden else None)
    return out[:, : q.shape[1]]


_odd.defvjp(
    lambda parsed, q, k, v: jax.vjp(partial(_made_even, parsed), q, k, v),
    lambda parsed, pull, d_out: pull(d_out),
)


def even(x: Array) -> Array:
    """With a position more where their number is odd."""
    return jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0)))


def refusal(q: Array, k: Array, v: Array, parsed: Scores) -> str:
    """Why cuDNN cannot do this here; empty where it can."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if jax.default_backend() != "gpu":
        return "cuDNN needs an NVIDIA GPU"
    if not q.size:
        return "cuDNN needs at least one query"
    if q.dtype not in (jnp.bfloat16, jnp.float16):
        return f"cuDNN needs bfloat16 or float16, got {q.dtype}"
    if q.shape[-1] % 8 or k.shape[-1] != v.shape[-1]:
        return f"cuDNN needs one head size, a multiple of 8, got {q.shape[-1]} and {v.shape[-1]}"
    if parsed.mask.kind != "full" and q.shape[1] != k.shape[1]:
        return f"cuDNN aligns its masks otherwise where T and S differ, got {q.shape[1]} and {k.shape[1]}"
    return probed(str(q.dtype), q.shape[-1])


@cache
def probed(dtype: str, head_dim: int) -> str:
    """Why cuDNN makes no step of a small problem here, empty where it does: some versions find no plan at all."""

    def attend(q: Array, k: Array, v: Array) -> Array:
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")

    def probe(q: Array, k: Array, v: Array) -> Any:
        out, vjp = jax.vjp(attend, q, k, v)
        return out, vjp(out)

    small = jax.ShapeDtypeStruct((1, SMALL, 1, head_dim), jnp.dtype(dtype))  # type: ignore[no-untyped-call]
    try:
        jax.jit(probe).lower(small, small, small).compile()
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return f"cuDNN does not run here: {str(error).splitlines()[0][:200]}"
    return ""
