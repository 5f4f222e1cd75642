"""cuDNN's attention with its log-sum-exp, and the gradients of a part by the output and log-sum-exp of the whole.

`jax.nn.dot_product_attention` gives the first but takes no foreign log-sum-exp for the second, so what it is made of is
called here: the primitives of `jax._src.cudnn.fused_attention_stablehlo`, alike in JAX 0.10 and 0.11.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from compare.schema.contract import Scores

Part = tuple[Array, Array]


def forward(q: Array, k: Array, v: Array, parsed: Scores) -> Part:
    """q [B, T, N, H] on k [B, S, K, H] and v [B, S, K, H]: out [B, T, N, H] and float32 log-sum-exp [B, T, N, 1]."""
    from jax._src.cudnn import fused_attention_stablehlo as cudnn  # private: nothing else shall need it

    out, log_sum = cudnn._dot_product_attention_fwd_p.bind(  # type: ignore[no-untyped-call]
        q, k, v, *_unused(q, 7), is_training=True, **_settings(parsed, q.shape[-1])
    )
    return out, log_sum.swapaxes(1, 2)[..., None]


def backward(d_out: Array, q: Array, k: Array, v: Array, whole: Part, parsed: Scores) -> tuple[Array, Array, Array]:
    """dQ, dK and dV of a part: of ``whole``, output and log-sum-exp over all keys, only these keys' share."""
    from jax._src.cudnn import fused_attention_stablehlo as cudnn

    out, log_sum = whole[0].astype(q.dtype), whole[1][..., 0].swapaxes(1, 2)
    d_q, d_k, d_v = cudnn._dot_product_attention_bwd_p.bind(  # type: ignore[no-untyped-call]
        q, k, v, *_unused(q, 7), log_sum, out, d_out, **_settings(parsed, q.shape[-1])
    )
    return d_q, d_k, d_v


def _unused(q: Array, count: int) -> list[Array]:
    """In the place of bias, lengths, offsets and pages."""
    return [jnp.zeros(0, q.dtype)] * count


def _settings(parsed: Scores, head_dim: int) -> dict[str, Any]:
    from jax._src.cudnn import fused_attention_stablehlo as cudnn

    return {
        "scale": parsed.factor(head_dim),
        "seed": 0,
        "dropout_rate": 0.0,
        "variadic_args": (False, False),
        "mask_type": {"causal": cudnn.MaskType.CAUSAL, "full": cudnn.MaskType.NO_MASK}[parsed.mask.kind],
        "layout": cudnn.AttentionLayout.BTNH.value,
        "sliding_window_length": None,
    }
