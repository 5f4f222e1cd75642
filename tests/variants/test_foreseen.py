"""What a variant says beforehand that it refuses is what it refuses when it is called."""

from __future__ import annotations

import numpy as np
import pytest

from compare.backends import BACKENDS, backend, missing_modules, refuses
from compare.maths import inputs
from compare.records import Case, Contender
from compare.worker import composing
from tests.variants.test_conformance import MASKS, VARIANTS, adapter_of, attention_of, problem

TELLING = [each for each in VARIANTS if refuses(*each) and not missing_modules(each[0])]


def raised(found: tuple[str, str], mask: str, dtype: str) -> str:
    """Why a call on real arrays, in training, is refused."""
    name, _ = found
    q, k, v, _ = (adapter_of(name).put(each, dtype) for each in inputs.draw(problem(mask, dtype=dtype)))
    if name == "torch":
        q, k, v = (each.requires_grad_() for each in (q, k, v))
    try:
        attention_of(found)(q, k, v, mask=mask)
    except NotImplementedError as reason:
        return str(reason)
    return ""


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("contender", TELLING, ids=":".join)
def test_it_refuses_what_it_says(contender: tuple[str, str], mask: str, dtype: str) -> None:
    name, variant = contender
    case = Case(problem=problem(mask, dtype=dtype), contender=Contender(backend=name, variant=variant, mode=""))
    said = composing.foreseen(backend(name).package, case, True, adapter_of(name))
    assert said == raised(contender, mask, dtype)


def test_an_outline_takes_no_memory() -> None:
    for name in (each for each in BACKENDS if not missing_modules(each)):
        outline = adapter_of(name).outline((2**20, 2**10, 2**10, 2**10), "bfloat16", True)
        assert outline.shape == (2**20, 2**10, 2**10, 2**10)
        assert np.dtype(str(outline.dtype).removeprefix("torch.").replace("bfloat16", "float16")).itemsize == 2


def test_who_can_tell_is_found_in_the_files() -> None:
    assert refuses("jax", "window")
    assert refuses("torch", "fused")  # by what it would choose
    assert not refuses("jax", "naive")
    assert not refuses("jax", "/tmp/own.py:attend")
