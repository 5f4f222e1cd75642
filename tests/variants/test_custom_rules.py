"""Gradients written by hand, against finite differences in float64."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from compare.maths import inputs, prediction
from compare.worker import composing
from tests.variants.test_conformance import adapter_of, problem

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
        lambda q, k, v: variant.attention(q, k, v, mask=mask),
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
        parsed = fused_chunked.Mask(*((mask.split(":")[0], int(mask.split(":")[1])) if ":" in mask else (mask,)))
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
    jnp = jax.numpy
    for length in (0, 5):
        q, k = (jnp.ones((1, length, 2, 4), jnp.float32) for _ in range(2))
        v = jnp.ones((1, length, 2, 4), jnp.bfloat16)
        out, vjp = jax.vjp(variant.attention, q, k, v)
        assert [each.dtype.name for each in vjp(out)] == ["float32", "float32", "bfloat16"]
        assert [each.shape for each in vjp(out)] == [each.shape for each in (q, k, v)]
