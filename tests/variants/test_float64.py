"""In float64 every variant that computes on a CPU agrees with the oracle to twelve digits, or refuses float64."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from compare.maths import oracle
from compare.schema.contract import parse_mask
from tests.variants.checking import HERE, TENSORS, Array, Named, attention_of, description_of

REFUSES = {("jax", "fused_xla"), ("torch", "flex")}  # their libraries compute the softmax in float32
SQUARE, SHARED, BLOCKS = ((13, 13), (1, 1)), ((6, 9), (4, 2)), ((170, 131), (2, 2))
# A mask, the lengths of queries and keys, and the numbers of their heads.
CASES = [
    ("full", *SQUARE),
    ("causal", *SHARED),
    ("window:3", *SQUARE),
    ("strided:4", *SHARED),
    ("causal", *BLOCKS),
    ("window:40", *BLOCKS),
    ("strided:36", *BLOCKS),
]
BATCH, HEAD_DIM = 2, 16


def drawn(lengths: tuple[int, int], heads: tuple[int, int]) -> list[Array]:
    """q, k, v and dO."""
    random = np.random.default_rng(5)
    queries, keys = ((BATCH, length, count, HEAD_DIM) for length, count in zip(lengths, heads, strict=True))
    return [random.standard_normal(shape) for shape in (queries, keys, keys, queries)]


def exact(arrays: list[Array], mask: str) -> list[Array]:
    """out, dQ, dK and dV by the oracle, one key head after the other."""
    q, k, v, do = arrays
    found = [np.empty_like(each) for each in (q, q, k, v)]
    group = q.shape[2] // k.shape[2]
    for entry, head in np.ndindex(BATCH, k.shape[2]):
        mine = slice(head * group, (head + 1) * group)
        one_q, one_do = (each[entry, :, mine].swapaxes(0, 1) for each in (q, do))
        one, _ = oracle.attention_with_gradients(
            one_q, k[entry, :, head], v[entry, :, head], one_do, parse_mask(mask), HEAD_DIM**-0.5, oracle.EXACT
        )
        for into, part in zip(found[:2], one[:2], strict=True):
            into[entry, :, mine] = part.swapaxes(0, 1)
        for into, part in zip(found[2:], one[2:], strict=True):
            into[entry, :, head] = part
    return found


def by_jax(attention: Callable[..., Any], arrays: list[Array]) -> list[Any]:
    jax: Any = import_module("jax")

    def passes(q: Any, k: Any, v: Any, do: Any) -> Any:
        out, pull = jax.vjp(attention, q, k, v)
        return out, *pull(do)

    return list(jax.jit(passes)(*arrays))


def by_torch(attention: Callable[..., Any], arrays: list[Array]) -> list[Any]:
    torch: Any = import_module("torch")
    *qkv, do = (torch.tensor(each) for each in arrays)
    for each in qkv:
        each.requires_grad_()
    out = attention(*qkv)
    return [each.detach().numpy() for each in (out, *torch.autograd.grad(out, qkv, do))]


def wide(name: str) -> Any:
    """Where arrays of the backend may be float64."""
    return import_module("jax").enable_x64(True) if name == "jax" else nullcontext()


@pytest.mark.parametrize("variant", [each for each in HERE if each not in REFUSES], ids=":".join)
def test_float64_stays_float64(variant: Named) -> None:
    declared = description_of(variant).masks
    cases = [each for each in CASES if parse_mask(each[0]).kind in declared]
    assert len(cases) >= 2
    for mask, lengths, heads in cases:
        arrays = drawn(lengths, heads)
        attention = partial(attention_of(variant), mask=mask)
        with wide(variant[0]):
            found = (by_jax if variant[0] == "jax" else by_torch)(attention, arrays)
        for name, own, right in zip(TENSORS, found, exact(arrays, mask), strict=True):
            assert own.dtype == np.float64
            np.testing.assert_allclose(own, right, rtol=0, atol=1e-12, err_msg=f"{name}, {mask}, {lengths}")


@pytest.mark.parametrize("variant", sorted(REFUSES), ids=":".join)
def test_a_library_that_rounds_to_float32_refuses_float64(variant: Named) -> None:
    q, k, v, _ = drawn(*SQUARE)
    with wide(variant[0]), pytest.raises(NotImplementedError, match="float64 would lose precision"):
        attention_of(variant)(*(as_array(variant[0], each) for each in (q, k, v)))


def as_array(name: str, array: Array) -> Any:
    return import_module("jax.numpy").asarray(array) if name == "jax" else import_module("torch").tensor(array)
