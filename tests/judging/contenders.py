"""Contenders as arrays, right and wrong, and their verification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from compare.maths import inputs
from compare.maths.inputs import round_to
from compare.schema.contract import parse_mask, visible
from compare.schema.records import Agreement, Device, Problem, TensorError
from compare.verify import process
from tests import samples

Arrays = dict[str, np.ndarray]
Mutant = Callable[[Problem, Arrays], Arrays]
PROBLEM = samples.problem(batch=2, q_len=40, kv_len=40, heads=4, kv_heads=2, head_dim=16, mask="causal")
LONGER = replace(PROBLEM, q_len=80, kv_len=80)  # one slice has rows enough to go by
WINDOW = replace(PROBLEM, mask="window:8")
GRADIENTS = {"backward.dq", "backward.dk", "backward.dv"}
ALL = {"forward.out", *GRADIENTS}


def naive(problem: Problem, **other: Any) -> Arrays:
    """A contender in float32, whole batch and all heads at once; ``other`` makes it wrong.

    ``scale`` multiplies the right scale, ``shift`` moves the mask's diagonal, ``mask`` replaces it, ``operand`` rounds
    what goes into a product, ``store`` what is kept, ``summed`` is the slice of a group's heads that dK takes in.
    """
    group = problem.heads // problem.kv_heads
    operand, summed = other.get("operand", lambda x: x), other.get("summed", slice(None))
    q, k, v, do = inputs.draw(problem)
    k, v = np.repeat(k, group, axis=2), np.repeat(v, group, axis=2)
    scale = np.float32(other.get("scale", 1.0) * problem.head_dim**-0.5)
    i, j = np.arange(problem.q_len)[:, None], np.arange(problem.kv_len)[None, :]
    seen = visible(parse_mask(other.get("mask", problem.mask)), i + other.get("shift", 0), j)
    seen[:, 0] |= ~seen.any(1)  # a shifted mask must not leave a query alone

    def rounded(x: np.ndarray) -> np.ndarray:
        return round_to(x, problem.dtype)

    store = other.get("store", rounded)

    def product(formula: str, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return np.einsum(formula, operand(one), operand(two), optimize=True)

    q = store(q * scale)
    scores = np.where(seen, store(product("btnh,bsnh->bnts", q, k)), np.float32(-np.inf))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    p = store(weights / weights.sum(-1, keepdims=True))
    dp = store(product("btnh,bsnh->bnts", do, v))
    ds = store(p * (dp - (p * dp).sum(-1, keepdims=True)))

    def over_group(x: np.ndarray, heads: slice) -> np.ndarray:
        return store(x.reshape(*x.shape[:2], problem.kv_heads, group, -1)[:, :, :, heads].sum(3))

    return {
        "forward.out": store(product("bnts,bsnh->btnh", p, v)),
        "backward.dq": store(store(product("bnts,bsnh->btnh", ds, k)) * scale),
        "backward.dk": over_group(product("bnts,btnh->bsnh", ds, q), summed),
        "backward.dv": over_group(product("bnts,btnh->bsnh", p, do), slice(None)),
    }


def save(arrays: Arrays, folder: Path) -> str:
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def verified(
    tmp_path: Path, problem: Problem, contenders: dict[str, Arrays], budget_s: float = 60.0, device: Device = "cpu"
) -> dict[str, Agreement]:
    folders = {name: save(arrays, tmp_path / name) for name, arrays in contenders.items()}
    request = process.Verify(problem=problem, device=device, folders=folders, budget_s=budget_s)
    return process.verify(request).agreements


def wrong_tensors(verdict: Agreement) -> set[str]:
    return {each.tensor for each in verdict.tensors if not each.agrees}


def errors_of(verdict: Agreement, tensor: str) -> TensorError:
    return next(each for each in verdict.tensors if each.tensor == tensor)


def touched(good: Arrays, name: str, change: Callable[[np.ndarray], Any]) -> Arrays:
    """The arrays with one of them copied and changed in place."""
    array = good[name].copy()
    change(array)
    return good | {name: array}


def one_row(array: np.ndarray) -> None:
    array[1, 5, 1] *= 1.001


def one_nan(array: np.ndarray) -> None:
    array[0, 7, 0, 3] = np.nan
