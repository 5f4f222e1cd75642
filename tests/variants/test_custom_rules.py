"""Rules written by hand in JAX: gradients against finite differences in float64, and the dtype of the softmax."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from compare.maths import inputs, prediction
from compare.schema.contract import parse_mask
from compare.worker import composing
from tests.variants.checking import HERE, adapter_of, attention_of, problem

jax = pytest.importorskip("jax")
check_grads = import_module("jax.test_util").check_grads
fused_chunked, naive_lean = (import_module(f"jax_attn.variants.{name}") for name in ("fused_chunked", "naive_lean"))

SHAPES = {"q": (1, 9, 4, 3), "k": (1, 7, 2, 3), "v": (1, 7, 2, 5)}


@pytest.fixture
def wide() -> Any:
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        yield


@pytest.mark.parametrize("variant", [fused_chunked, naive_lean], ids=lambda each: each.__name__.rpartition(".")[2])
@pytest.mark.parametrize("mask", ["full", "causal", "window:4", "strided:3"])
def test_gradients_against_finite_differences(wide: None, variant: Any, mask: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(fused_chunked, "BLOCK", 4)  # several blocks, the last one not full
    random = np.random.default_rng(7)
    arrays = [jax.numpy.asarray(random.standard_normal(shape)) for shape in SHAPES.values()]
    assert arrays[0].dtype == "float64"
    check_grads(
        jax.jit(lambda q, k, v: variant.attention(q, k, v, mask=mask)),
        arrays,
        order=1,
        modes=["rev"],
        atol=1e-7,
        rtol=1e-7,
        eps=1e-5,
    )


def test_blocks_that_are_no_divisor_and_segments_of_several_blocks(monkeypatch: Any) -> None:
    monkeypatch.setattr(fused_chunked, "BLOCK", 4)
    monkeypatch.setattr(fused_chunked, "SEGMENTS", 2)
    for mask, keys in (("causal", 4 * 6), ("window:6", 4 * 6), ("full", 30)):
        parsed = parse_mask(mask)
        found = list(fused_chunked._segments(parsed, 4, 6, 30))
        assert [part.stop - part.start for part, _ in found] == [3, 3]
        assert found[-1][1].stop == keys
        assert found[-1][1].start == (7 if parsed.kind == "window" else 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("heads", [(1, 1), (4, 2)], ids=str)
def test_lean_naive_keeps_one_matrix_between_forward_and_backward(dtype: str, heads: tuple[int, int]) -> None:
    """Once it kept the probabilities twice: for the softmax, and in another shape for the product."""
    where = problem("causal", dtype=dtype, heads=heads, lengths=(512, 512), head_dim=8)
    adapter = adapter_of("jax")
    tensors = tuple(adapter.put(each, where.dtype) for each in inputs.draw(where))
    whole = composing.composed(naive_lean.attention, "jax_attn", where)
    programs = adapter.programs(whole, "jit", tensors, where.matmul_precision)
    matrix = prediction.score_bytes(where)
    assert matrix <= programs.saved_bytes(adapter.block(programs.save())) <= 1.1 * matrix


@pytest.mark.parametrize("variant", [fused_chunked, naive_lean], ids=lambda each: each.__name__.rpartition(".")[2])
def test_gradients_have_the_dtypes_of_their_tensors_and_nothing_is_a_length_too(variant: Any) -> None:
    def gradients(q: Any, k: Any, v: Any) -> Any:
        out, vjp = jax.vjp(variant.attention, q, k, v)
        return vjp(out)

    for length in (0, 5):
        given = [jax.ShapeDtypeStruct((1, length, 2, 4), dtype) for dtype in ("float32", "float32", "bfloat16")]
        assert [(each.shape, each.dtype) for each in jax.eval_shape(gradients, *given)] == [
            (each.shape, each.dtype) for each in given
        ]


def exponentials(program: Any) -> list[str]:
    """The dtypes of all exponentials in a traced program and in the programs inside it."""
    found = []
    for equation in program.eqns:
        if equation.primitive.name in ("exp", "exp2"):
            found.append(equation.invars[0].aval.dtype.name)
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda each: hasattr(each, "eqns")):
            if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                found += exponentials(inner)
    return found


@pytest.mark.parametrize("variant", [name for backend, name in HERE if backend == "jax"])
def test_the_softmax_of_16_bits_is_float32(variant: str) -> None:
    """Errors do not tell: within the tolerance a softmax in 16 bits passes, but it is other maths, and less work."""
    mask = {"window": "window:3", "strided": "strided:4"}.get(variant, "causal")
    array = jax.ShapeDtypeStruct((1, 8, 2, 4), "bfloat16")
    whole = partial(attention_of(("jax", variant)), mask=mask)
    for program in (whole, lambda *arrays: jax.vjp(whole, *arrays)[1](arrays[0])):
        found = exponentials(jax.make_jaxpr(program)(array, array, array).jaxpr)
        assert found
        assert set(found) == {"float32"}
