"""The oracle: attention and its gradients in NumPy, in float64, or in a case's own precision to compare.

One slice is one (batch, key head) with its G query heads: q [G, T, H], k [S, H], v [S, V], dO [G, T, V].  Query rows
are taken a chunk at a time, against only the keys that the mask can show them, so T=16384 fits in little memory.  If
time is short, the slices to check are drawn by the seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compare.maths.inputs import cut_bits, keep_bits, round_to
from compare.schema.contract import Mask, visible, visible_scores
from compare.schema.records import Problem

Array = NDArray[Any]
CHUNK_SCORES = 2**19  # in float64 a few such matrices stay in a processor's cache
TF32_BITS = 10
LEAST_ROWS = 64  # of a chunk, all heads counted, so that adding to dK and dV costs little beside the products
LANES = 8  # threads at most; each adds up its own dK and dV, so sums do not depend on how many processors there are


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
    operand = (lambda x: keep_bits(x, TF32_BITS)) if _tf32(problem, device) else (lambda x: x)
    return Arithmetic(np.float32, operand, lambda x: round_to(x, problem.dtype))


def cutting(problem: Problem, device: str) -> Arithmetic | None:
    """The same where TF32 operands are not rounded first: tensor cores then read no more bits than TF32 has (PTX ISA,
    "Alternate floating-point data formats": the lower bits of a .tf32 operand's register are not used)."""
    if not _tf32(problem, device):
        return None
    return Arithmetic(np.float32, lambda x: cut_bits(x, TF32_BITS), lambda x: x)


def _tf32(problem: Problem, device: str) -> bool:
    return problem.dtype == "float32" and device == "gpu" and problem.matmul_precision != "ieee"


def keys_of_rows(mask: Mask, first: int, last: int, kv_len: int) -> tuple[int, int]:
    """The range of keys outside of which no row first..last sees anything."""
    if mask.kind not in ("causal", "window", "strided"):
        return 0, kv_len
    low = max(0, first - mask.size + 1) if mask.kind == "window" else 0
    return min(low, kv_len), min(last + 1, kv_len)


def scores_computed(mask: Mask, q_len: int, kv_len: int) -> int:
    """How many scores of one head the oracle goes through: of a strided mask all those that a causal one shows."""
    return visible_scores(Mask("causal") if mask.kind == "strided" else mask, q_len, kv_len)


def attention_with_gradients(
    q: Array,
    k: Array,
    v: Array,
    do: Array,
    mask: Mask,
    scale: float,
    arithmetic: Arithmetic,
    positions: Array | None = None,
) -> tuple[Tensors, RowSizes]:
    """Output and gradients of one slice and the sizes of their rows, as the naive formulas give them:

    P = softmax(scale Q K^T), O = P V, dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(P dP)), dQ = scale dS K,
    dK = dS^T (scale Q)   (Dao et al. 2022, https://arxiv.org/abs/2205.14135, appendix B).

    ``positions``: where the rows of q stand in the sequence, ascending; by default the first is 0, the next 1, ...
    """
    kind, _, store = arithmetic
    q, k, v, do = (x.astype(kind) for x in (q, k, v, do))
    q = store(q * kind(scale))
    at = np.arange(q.shape[1]) if positions is None else positions
    chunks = _Chunks(q, k, v, do, at, mask, scale, arithmetic)
    step = max(1, LEAST_ROWS // len(q), CHUNK_SCORES // max(1, len(q) * len(k)))
    starts = range(0, q.shape[1], step)
    lanes = [_Keys.zeros(k, v) for _ in range(max(1, min(LANES, len(starts))))]

    def run(lane: int) -> None:
        for start in starts[lane::LANES]:
            chunks.add(start, start + step, lanes[lane])

    with ThreadPoolExecutor(min(LANES, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(run, range(len(lanes))))
    dk, dv, dk2, dv2 = (np.sum(parts, axis=0) for parts in zip(*lanes, strict=True))
    tensors = Tensors(chunks.out, chunks.dq, store(dk), store(dv))
    return tensors, RowSizes(*map(np.sqrt, (chunks.out2, chunks.dq2, dk2, dv2)))


class _Keys(NamedTuple):
    """What every chunk of rows adds to: dK [S, H], dV [S, V] and the squares of their rows' sizes [S]."""

    dk: Array
    dv: Array
    dk2: Array
    dv2: Array

    @staticmethod
    def zeros(k: Array, v: Array) -> _Keys:
        return _Keys(np.zeros_like(k), np.zeros_like(v), np.zeros(len(k), k.dtype), np.zeros(len(v), v.dtype))


class _Chunks:
    """One slice, its query rows a chunk at a time, in any order; q is scaled already."""

    def __init__(
        self,
        q: Array,
        k: Array,
        v: Array,
        do: Array,
        positions: Array,
        mask: Mask,
        scale: float,
        arithmetic: Arithmetic,
    ) -> None:
        self.k, self.v, self.do, self.positions, self.mask, self.arithmetic = k, v, do, positions, mask, arithmetic
        self.scale = arithmetic.float_type(scale)
        self.q_op, self.k_op, self.v_op, self.do_op = (arithmetic.operand(x) for x in (q, k, v, do))
        self.q2, self.k2, self.v2, self.do2 = (np.sum(np.square(x), axis=-1) for x in (q, k, v, do))
        self.out, self.dq = np.zeros_like(do), np.zeros_like(q)
        self.out2, self.dq2 = np.zeros(do.shape[:-1], do.dtype), np.zeros(q.shape[:-1], q.dtype)

    def add(self, start: int, stop: int, sums: _Keys) -> None:
        """Rows start..stop - 1: their output and dQ, and what they add to dK and dV."""
        kind, operand, store = self.arithmetic
        positions = self.positions[start:stop]
        low, high = keys_of_rows(self.mask, int(positions[0]), int(positions[-1]), len(self.k))
        keys, at = slice(low, high), (slice(None), slice(start, stop))
        seen = visible(self.mask, positions[:, None], np.arange(low, high)[None, :])
        scores = store(self.q_op[at] @ self.k_op[keys].T)
        scores = np.where(seen, scores, kind(-np.inf))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        p = store(weights)
        self.out[at] = store(operand(p) @ self.v_op[keys])
        dp = store(self.do_op[at] @ self.v_op[keys].T)
        mean = (p * dp).sum(-1, keepdims=True)
        ds = store(p * (dp - mean))  # from P as it was stored, as autograd does
        self.dq[at] = store(store(operand(ds) @ self.k_op[keys]) * self.scale)
        sums.dv[keys] += np.tensordot(operand(p), self.do_op[at], axes=((0, 1), (0, 1)))
        sums.dk[keys] += np.tensordot(operand(ds), self.q_op[at], axes=((0, 1), (0, 1)))
        weight = np.square(p)
        own = np.square(self.do[at]) @ np.square(self.v[keys]).T  # the terms of dP itself, which may cancel too
        dp2 = np.maximum(np.square(dp), own)
        mean2 = np.maximum(np.square(mean), (weight * dp2).sum(-1, keepdims=True))
        term = weight * np.square(np.sqrt(dp2) + np.sqrt(mean2))
        self.out2[at], self.dq2[at] = weight @ self.v2[keys], term @ self.k2[keys] * self.scale**2
        sums.dv2[keys] += np.tensordot(weight, self.do2[at], axes=((0, 1), (0, 1)))
        sums.dk2[keys] += np.tensordot(term, self.q2[at], axes=((0, 1), (0, 1)))


def layers_with_gradients(
    q: Array,
    k: Array,
    v: Array,
    do: Array,
    mask: Mask,
    scale: float,
    arithmetic: Arithmetic,
    layers: int,
    positions: Array | None = None,
) -> tuple[Tensors, RowSizes]:
    """The same of so many layers x + attention(x, k, v) from x = q [G, T, H]; of one layer, of the attention alone.

    A residual row and its gradient are terms of the rows that they are added to.  k and v are the same in all layers,
    so a row depends on its own row of q alone, and some rows (``positions``) can be had without the others.
    """
    if layers == 1:
        return attention_with_gradients(q, k, v, do, mask, scale, arithmetic, positions)
    kind, _, store = arithmetic
    xs = [q.astype(kind)]
    for _ in range(layers):
        out = attention_with_gradients(xs[-1], k, v, do, mask, scale, arithmetic, positions)[0].out
        xs.append(store(xs[-1] + out))
    d, dk, dv = do.astype(kind), np.zeros(k.shape, kind), np.zeros(v.shape, kind)
    squares = {"out": np.zeros(q.shape[:-1], kind), "dk": np.zeros(len(k), kind), "dv": np.zeros(len(v), kind)}
    squares["dq"] = np.sum(np.square(d), axis=-1)
    for x in reversed(xs[:-1]):
        found, sizes = attention_with_gradients(x, k, v, d, mask, scale, arithmetic, positions)
        squares["out"] += np.square(sizes.out)
        squares["dq"] += np.square(sizes.dq)
        squares["dk"] += np.square(sizes.dk)
        squares["dv"] += np.square(sizes.dv)
        d, dk, dv = store(d + found.dq), store(dk + found.dk), store(dv + found.dv)
    squares["out"] += np.sum(np.square(xs[0]), axis=-1)
    return Tensors(xs[-1], d, dk, dv), RowSizes(**{name: np.sqrt(x) for name, x in squares.items()})


MOST_SCORES = 2**29  # of a slice that is checked whole: two minutes of one processor
DRAWN_SCORES = 2**27  # about so many of a longer one, in blocks of so many rows
BLOCK_ROWS = 16


class Rows(NamedTuple):
    """Positions of the query rows that are checked (out, dQ), and of the keys that no other row sees (dK, dV)."""

    queries: Array
    keys: Array

    def of(self, tensor: str) -> Array:
        """The positions of a tensor's rows that are checked."""
        return self.keys if tensor in ("dk", "dv") else self.queries


class Slice(NamedTuple):
    """One (batch, key head): where its rows stand in the q-like and in the k-like arrays."""

    batch: int
    kv_head: int
    group: int

    def of(self, tensor: str, array: Array, rows: Array | None = None) -> Array:
        """The slice's rows, or those of them: [G, T, H] of a q-like array, [S, H] of a k-like one, in float64."""
        at = slice(None) if rows is None else rows
        if tensor in ("dk", "dv"):
            return np.asarray(array[self.batch, :, self.kv_head][at], np.float64)
        heads = slice(self.kv_head * self.group, (self.kv_head + 1) * self.group)
        return np.asarray(array[self.batch, :, heads][at], np.float64).swapaxes(0, 1)


def drawn_slices(problem: Problem) -> list[Slice]:
    """All slices of the problem, in an order drawn by its seed."""
    group = problem.heads // problem.kv_heads
    every = [Slice(b, k, group) for b in range(problem.batch) for k in range(problem.kv_heads)]
    order = np.random.default_rng([problem.seed, 1]).permutation(len(every))
    return [every[i] for i in order]


def checked_rows(problem: Problem) -> Rows:
    """All rows of a slice; of one with more scores than the oracle can do the first, the last and some in between.

    No row before them sees the last keys, unless the mask is full: then no key's gradient is known.
    """
    rows, keys = problem.q_len, problem.kv_len
    group = problem.heads // problem.kv_heads
    times = 1 if problem.layers == 1 else 2 * problem.layers  # that the oracle goes through them
    if times * group * scores_computed(problem.scores.mask, rows, keys) <= MOST_SCORES:
        return Rows(np.arange(rows), np.arange(keys))
    blocks = max(4, DRAWN_SCORES // (times * group * keys * BLOCK_ROWS))
    last = max(rows - blocks // 2 * BLOCK_ROWS, 0)
    firsts = np.random.default_rng([problem.seed, 2]).permutation(np.arange(0, last, BLOCK_ROWS))[: blocks // 2 - 1]
    starts = [0, *firsts, *range(last, rows, BLOCK_ROWS)]
    drawn = np.unique(np.concatenate([np.arange(start, min(start + BLOCK_ROWS, rows)) for start in starts]))
    known = np.arange(min(last, keys), keys) if problem.mask != "full" else np.arange(0)
    return Rows(drawn, known)


def within(slices: list[Slice], budget_s: float, least: int = 1) -> Iterator[Slice]:
    """The slices in order, as long as the next one should still end inside the budget; the first ``least`` always.

    So many that the sizes of at least 64 rows are known, where slices are as short as those of decoding.
    """
    start = perf_counter()
    for done, part in enumerate(slices):
        spent = perf_counter() - start
        if done >= least and spent * (done + 1) / done > budget_s:
            return
        yield part
