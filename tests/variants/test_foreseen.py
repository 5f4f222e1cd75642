"""What a variant says beforehand that it refuses is what it refuses when it is called."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from compare.backends import BACKENDS
from compare.maths import inputs
from compare.schema.records import Problem
from compare.variants import refuses
from tests.variants.checking import ALL, MASKS, Named, adapter_of, attention_of, description_of, foreseen, problem

TELLING = [each for each in ALL if refuses(*each) or len(description_of(each).masks) < len(MASKS)]


def raised(named: Named, where: Problem) -> str:
    """Why a call on real arrays, in training, is refused."""
    name, _ = named
    q, k, v, _ = (adapter_of(name).put(each, where.dtype) for each in inputs.draw(where))
    if name == "torch":
        q, k, v = (each.requires_grad_() for each in (q, k, v))
    try:
        attention_of(named)(q, k, v, mask=where.mask)
    except NotImplementedError as reason:
        return str(reason)
    return ""


@pytest.mark.parametrize("variant", TELLING, ids=":".join)
def test_it_refuses_what_it_says_and_computes_nothing_else_in_its_place(variant: Named) -> None:
    for mask, dtype in product(MASKS, ("float32", "float16")):
        where = problem(mask, dtype=dtype)
        assert foreseen(variant, where) == raised(variant, where)


def test_an_outline_takes_no_memory() -> None:
    for name in BACKENDS:
        outline = adapter_of(name).outline((2**20, 2**10, 2**10, 2**10), "bfloat16", True)
        assert outline.shape == (2**20, 2**10, 2**10, 2**10)
        assert np.dtype(str(outline.dtype).removeprefix("torch.").replace("bfloat16", "float16")).itemsize == 2


def test_who_can_tell_is_found_in_the_files() -> None:
    assert refuses("jax", "fused_xla")
    assert refuses("torch", "fused")  # by what it would choose
    assert not refuses("jax", "naive")
    assert not refuses("jax", "/tmp/own.py:attend")
