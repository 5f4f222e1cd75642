"""Naive attention in NumPy: real numbers, and kernels whose times and buffers stand in the plan below.

Buffers of the plan, in score matrices (SM): forward holds two SM and the output, of which one SM (the probabilities) is
saved; backward adds two SM and the three gradients.
"""

from __future__ import annotations

import numpy as np

from compare.schema.contract import Variant, check, visible
from tests.fake_attn.device import DEVICE, Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"), scores="all", kept_scores=3)
FORWARD_NS = {"scores": 500_000, "softmax": 250_000, "output": 250_000}
BACKWARD_NS = {"probability gradients": 1_000_000, "input gradients": 1_000_000}


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, V]; a node of [B, T, N, V]."""
    return planned(q, k, v, mask, scale)


def planned(
    q: Array,
    k: Array,
    v: Array,
    mask: str,
    scale: float | None,
    slower: float = 1.0,
    stretch_ns: int = 0,
    lost: frozenset[str] = frozenset(),
) -> Node:
    """The same with times ``slower``, and with a profiler that stretches all kernels or loses those of some names."""
    parsed = check(q.shape, k.shape, v.shape, mask).mask
    group, dtype = q.shape[2] // k.shape[2], q.dtype
    scale = q.shape[3] ** -0.5 if scale is None else scale

    def run(kernels: dict[str, int]) -> None:
        for name, duration_ns in kernels.items():
            DEVICE.launch(name, int(duration_ns * slower), stretch_ns, logged=name not in lost)

    # [B, T, N, H] -> [B, N, T, H] in float32, each key head repeated for the query heads that it serves.
    q32, k32, v32 = (x.astype(np.float32).swapaxes(1, 2) for x in (q, k.repeat(group, 2), v.repeat(group, 2)))
    seen = visible(parsed, np.arange(q.shape[1])[:, None], np.arange(k.shape[1])[None, :])
    scores = np.where(seen, q32 @ k32.swapaxes(2, 3) * np.float32(scale), -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True, initial=-1e30))
    p /= p.sum(-1, keepdims=True)
    out = (p @ v32).swapaxes(1, 2).astype(dtype)
    matrix = np.empty(p.shape, dtype)
    DEVICE.allocate(matrix, matrix, out)
    run(FORWARD_NS)
    DEVICE.free(matrix.nbytes)

    def shared(x: Array) -> Array:
        """The sum over the query heads of each key head: [B, N, S, H] -> [B, S, K, H]."""
        return x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(2).swapaxes(1, 2).astype(dtype)

    def gradients(do: Array) -> tuple[Array, Array, Array]:
        do32 = do.astype(np.float32).swapaxes(1, 2)
        dp = do32 @ v32.swapaxes(2, 3)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * np.float32(scale)
        dq = (ds @ k32).swapaxes(1, 2).astype(dtype)
        dk, dv = shared(ds.swapaxes(2, 3) @ q32), shared(p.swapaxes(2, 3) @ do32)
        DEVICE.allocate(matrix, matrix, dq, dk, dv)
        run(BACKWARD_NS)
        DEVICE.free(2 * matrix.nbytes)
        return dq, dk, dv

    return Node(out, gradients, matrix.nbytes)
