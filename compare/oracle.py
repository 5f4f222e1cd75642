"""Attention and its gradients, defined once, in NumPy: in float64 as the truth, in a case's own precision to compare.

One slice is one (batch, key head) with its G query heads: q [G, T, H], k [S, H], v [S, V], dO [G, T, V].  Query rows
are taken a chunk at a time, against only the keys that the mask can show them, so T=16384 fits in little memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compare.contract import Mask, visible
from compare.inputs import keep_bits, round_to
from compare.records import Problem

Array = NDArray[Any]
CHUNK_SCORES = 2**19  # in float64 a few such matrices stay in a processor's cache


class Arithmetic(NamedTuple):
    """How to compute: in which float type, how a product rounds its operands, how a stored tensor is rounded."""

    float_type: Any
    operand: Callable[[Array], Array]
    store: Callable[[Array], Array]


class Tensors(NamedTuple):
    """out [G, T, V] and the gradients dQ [G, T, H], dK [S, H], dV [S, V]."""

    out: Array
    dq: Array
    dk: Array
    dv: Array


class RowSizes(NamedTuple):
    """The size of the terms that make up each row: out and dq [G, T], dk and dv [S].

    A row is a sum of terms; its size is the root of the sum of their squared norms, the terms of dS = P (dP - D) taken
    before they cancel, and those of dP and D too.  One unit of independent relative rounding error in every term moves
    the row by this much (Higham & Mary 2019, doi 10.1137/18M1226312), also where the row itself is zero.
    """

    out: Array
    dq: Array
    dk: Array
    dv: Array


EXACT = Arithmetic(np.float64, lambda x: x, lambda x: x)


def working(problem: Problem, device: str) -> Arithmetic:
    """The arithmetic that a naive implementation of this problem is allowed: its dtype, and TF32 where that is on."""
    tf32 = problem.dtype == "float32" and device == "gpu" and problem.matmul_precision != "ieee"
    operand = (lambda x: keep_bits(x, 10)) if tf32 else (lambda x: x)
    return Arithmetic(np.float32, operand, lambda x: round_to(x, problem.dtype))


def keys_of_rows(mask: Mask, first: int, last: int, kv_len: int) -> tuple[int, int]:
    """The range of keys outside of which no row first..last sees anything."""
    if mask.kind == "full":
        return 0, kv_len
    low = max(0, first - mask.size + 1) if mask.kind == "window" else 0
    return min(low, kv_len), min(last + 1, kv_len)


def attention_with_gradients(
    q: Array, k: Array, v: Array, do: Array, mask: Mask, scale: float, arithmetic: Arithmetic
) -> tuple[Tensors, RowSizes]:
    """Output and gradients of one slice and the sizes of their rows, as the naive formulas give them:

    P = softmax(scale Q K^T), O = P V, dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(P dP)), dQ = scale dS K,
    dK = dS^T (scale Q)   (Dao et al. 2022, https://arxiv.org/abs/2205.14135, appendix B).
    """
    kind, operand, store = arithmetic
    q, k, v, do = (x.astype(kind) for x in (q, k, v, do))
    q = store(q * kind(scale))
    q_op, k_op, v_op, do_op = (operand(x) for x in (q, k, v, do))
    groups, rows = q.shape[:2]
    out, dq = np.zeros_like(do), np.zeros_like(q)
    dk, dv = np.zeros_like(k), np.zeros_like(v)
    sizes = RowSizes(*(np.zeros(x.shape[:-1], kind) for x in (out, dq, dk, dv)))
    q2, k2, v2, do2 = (np.sum(np.square(x), axis=-1) for x in (q, k, v, do))
    step = max(1, CHUNK_SCORES // max(1, groups * len(k)))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        low, high = keys_of_rows(mask, start, stop - 1, len(k))
        keys, at = slice(low, high), (slice(None), slice(start, stop))
        seen = visible(mask, np.arange(start, stop)[:, None], np.arange(low, high)[None, :])
        scores = store(q_op[at] @ k_op[keys].T)
        scores = np.where(seen, scores, kind(-np.inf))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        p = store(weights)
        out[at] = store(operand(p) @ v_op[keys])
        dp = store(do_op[at] @ v_op[keys].T)
        mean = (p * dp).sum(-1, keepdims=True)
        ds = store(p * (dp - mean))  # from P as it was stored, as autograd does
        dq[at] = store(store(operand(ds) @ k_op[keys]) * kind(scale))
        dv[keys] += np.tensordot(operand(p), do_op[at], axes=((0, 1), (0, 1)))
        dk[keys] += np.tensordot(operand(ds), q_op[at], axes=((0, 1), (0, 1)))
        weight = np.square(p)
        dp2 = np.maximum(np.square(dp), np.square(do[at]) @ np.square(v[keys]).T)  # where its own terms cancel too
        mean2 = np.maximum(np.square(mean), (weight * dp2).sum(-1, keepdims=True))
        term = weight * np.square(np.sqrt(dp2) + np.sqrt(mean2))
        sizes.out[at], sizes.dq[at] = weight @ v2[keys], term @ k2[keys] * kind(scale) ** 2
        sizes.dv[keys] += np.tensordot(weight, do2[at], axes=((0, 1), (0, 1)))
        sizes.dk[keys] += np.tensordot(term, q2[at], axes=((0, 1), (0, 1)))
    return Tensors(out, dq, store(dk), store(dv)), RowSizes(*map(np.sqrt, sizes))


def layers_with_gradients(
    q: Array, k: Array, v: Array, do: Array, mask: Mask, scale: float, arithmetic: Arithmetic, layers: int
) -> tuple[Tensors, RowSizes]:
    """The same of so many layers x + attention(x, k, v) from x = q [G, T, H]; of one layer, of the attention alone.

    A residual row and its gradient are terms of the rows that they are added to.
    """
    if layers == 1:
        return attention_with_gradients(q, k, v, do, mask, scale, arithmetic)
    kind, _, store = arithmetic
    xs = [q.astype(kind)]
    for _ in range(layers):
        out = attention_with_gradients(xs[-1], k, v, do, mask, scale, arithmetic)[0].out
        xs.append(store(xs[-1] + out))
    d, dk, dv = do.astype(kind), np.zeros(k.shape, kind), np.zeros(v.shape, kind)
    squares = {"out": np.zeros(q.shape[:-1], kind), "dk": np.zeros(len(k), kind), "dv": np.zeros(len(v), kind)}
    squares["dq"] = np.sum(np.square(d), axis=-1)
    for x in reversed(xs[:-1]):
        found, sizes = attention_with_gradients(x, k, v, d, mask, scale, arithmetic)
        squares["out"] += np.square(sizes.out)
        squares["dq"] += np.square(sizes.dq)
        squares["dk"] += np.square(sizes.dk)
        squares["dv"] += np.square(sizes.dv)
        d, dk, dv = store(d + found.dq), store(dk + found.dk), store(dv + found.dv)
    squares["out"] += np.sum(np.square(xs[0]), axis=-1)
    return Tensors(xs[-1], d, dk, dv), RowSizes(**{name: np.sqrt(x) for name, x in squares.items()})
