"""The oracle against finite differences, against the formulas written densely, and against itself in other chunks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.maths import oracle
from compare.maths.oracle import EXACT, Tensors, attention_with_gradients, keys_of_rows, layers_with_gradients, working
from compare.schema.contract import Mask, parse_mask, visible
from tests import samples

PROPERTY = settings(max_examples=200, deadline=None)
MASKS = ["full", "causal", "window:3", "strided:2"]
SHAPES = [(1, 5, 5, 4, 4), (3, 6, 4, 3, 2), (2, 4, 7, 2, 5)]  # G, T, S, H, V
SCALE = 0.6
Operands = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def operands(groups: int, q_len: int, kv_len: int, head: int, value: int) -> Operands:
    draw = np.random.default_rng(7).standard_normal
    return draw((groups, q_len, head)), draw((kv_len, head)), draw((kv_len, value)), draw((groups, q_len, value))


def dense_output(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Mask) -> np.ndarray:
    seen = visible(mask, np.arange(q.shape[1])[:, None], np.arange(len(k))[None, :])
    weights = np.exp(SCALE * np.einsum("gth,sh->gts", q, k)) * seen
    return np.einsum("gts,sv->gtv", weights / weights.sum(-1, keepdims=True), v)


def dense(q: np.ndarray, k: np.ndarray, v: np.ndarray, do: np.ndarray, mask: Mask) -> Tensors:
    """All at once, the softmax's Jacobian written out: dS_ij = sum_l dP_il P_il (delta_lj - P_ij)."""
    seen = visible(mask, np.arange(q.shape[1])[:, None], np.arange(len(k))[None, :])
    weights = np.exp(SCALE * np.einsum("gth,sh->gts", q, k)) * seen
    p = weights / weights.sum(-1, keepdims=True)
    jacobian = np.einsum("gtl,lj->gtlj", p, np.eye(len(k))) - np.einsum("gtl,gtj->gtlj", p, p)
    ds = np.einsum("gtv,lv,gtlj->gtj", do, v, jacobian)
    return Tensors(
        np.einsum("gts,sv->gtv", p, v),
        SCALE * np.einsum("gts,sh->gth", ds, k),
        SCALE * np.einsum("gts,gth->sh", ds, q),
        np.einsum("gts,gtv->sv", p, do),
    )


def slope(f: Callable[[], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of f along every element of x, which f reads."""
    result = np.empty_like(x)
    for at in np.ndindex(x.shape):
        middle = x[at]
        x[at] = middle + step
        above = f()
        x[at] = middle - step
        result[at] = (above - f()) / (2 * step)
        x[at] = middle
    return result


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_are_the_slopes_of_the_output(mask: str, shape: tuple[int, ...]) -> None:
    q, k, v, do = operands(*shape)
    found, _ = attention_with_gradients(q, k, v, do, parse_mask(mask), SCALE, EXACT)

    def loss() -> float:
        return float(np.sum(dense_output(q, k, v, parse_mask(mask)) * do))

    for name, x in (("dq", q), ("dk", k), ("dv", v)):
        np.testing.assert_allclose(getattr(found, name), slope(loss, x), atol=1e-8, rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_exact_arithmetic_is_the_dense_formula(mask: str, shape: tuple[int, ...]) -> None:
    found, _ = attention_with_gradients(*operands(*shape), parse_mask(mask), SCALE, EXACT)
    for name, truth in dense(*operands(*shape), parse_mask(mask))._asdict().items():
        assert getattr(found, name).dtype == np.float64
        np.testing.assert_allclose(getattr(found, name), truth, atol=1e-14, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("chunk", [1, 50, 2**22])
def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch, mask: str, chunk: int) -> None:
    monkeypatch.setattr(oracle, "CHUNK_SCORES", chunk)
    inputs = operands(2, 23, 21, 4, 4)
    found, _ = attention_with_gradients(*inputs, parse_mask(mask), SCALE, EXACT)
    for name, truth in dense(*inputs, parse_mask(mask))._asdict().items():
        np.testing.assert_allclose(getattr(found, name), truth, atol=1e-14, rtol=1e-12, err_msg=name)


def test_large_scores_do_not_overflow() -> None:
    q, k, v, do = operands(1, 4, 4, 3, 3)
    found, _ = attention_with_gradients(q * 1e4, k, v, do, Mask("causal"), SCALE, EXACT)
    assert all(np.isfinite(each).all() for each in found)


@PROPERTY
@given(
    st.one_of(
        st.sampled_from([Mask("full"), Mask("causal")]),
        st.builds(Mask, st.sampled_from(["window", "strided"]), st.integers(1, 9)),
    ),
    st.integers(0, 30),
    st.integers(0, 10),
    st.integers(1, 30),
)
def test_keys_of_rows_never_cuts_a_visible_key(mask: Mask, first: int, more: int, kv_len: int) -> None:
    low, high = keys_of_rows(mask, first, first + more, kv_len)
    seen = visible(mask, np.arange(first, first + more + 1)[:, None], np.arange(kv_len)[None, :]).any(0)
    assert 0 <= low <= high <= kv_len
    assert not seen[:low].any()
    assert not seen[high:].any()


@pytest.mark.parametrize(
    ("dtype", "precision", "device", "bits"),
    [
        ("float32", "ieee", "gpu", 23),
        ("float32", "tf32", "cpu", 23),
        ("float32", "tf32", "gpu", 10),
        ("float32", "default", "gpu", 10),
        ("bfloat16", "ieee", "gpu", 23),  # inputs are rounded already; products take them whole
    ],
)
def test_working_rounds_operands_only_where_the_hardware_may(
    dtype: str, precision: str, device: str, bits: int
) -> None:
    arithmetic = working(samples.problem(dtype=dtype, matmul_precision=precision), device)
    finest = np.array([1 + 2.0**-bits], np.float32)
    assert arithmetic.operand(finest) == finest
    if bits < 23:
        assert arithmetic.operand(np.array([1 + 2.0 ** -(bits + 2)], np.float32)) == 1


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 23), ("bfloat16", 7), ("float16", 10)])
def test_working_stores_in_the_problems_dtype(dtype: str, bits: int) -> None:
    store = working(samples.problem(dtype=dtype), "cpu").store
    finest = np.array([1 + 2.0**-bits], np.float32)
    assert store(finest) == finest
    assert bits == 23 or store(np.array([1 + 2.0 ** -(bits + 2)], np.float32)) == 1


def dense_layers(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Mask, layers: int) -> np.ndarray:
    for _ in range(layers):
        q = q + dense_output(q, k, v, mask)
    return q


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_of_layers_are_the_slopes_of_their_output(mask: str) -> None:
    parsed, (q, k, v, do) = parse_mask(mask), operands(2, 5, 5, 3, 3)
    found, sizes = layers_with_gradients(q, k, v, do, parsed, SCALE, EXACT, 3)
    np.testing.assert_allclose(found.out, dense_layers(q, k, v, parsed, 3), rtol=1e-12)
    for tensor, operand in (("dq", q), ("dk", k), ("dv", v)):
        slopes = slope(lambda: float(np.sum(do * dense_layers(q, k, v, parsed, 3))), operand)
        np.testing.assert_allclose(getattr(found, tensor), slopes, rtol=1e-6, atol=1e-8)
        assert getattr(sizes, tensor).shape == operand.shape[:-1]


def test_one_layer_is_the_attention_alone() -> None:
    parts = (*operands(2, 5, 5, 3, 3), parse_mask("causal"), SCALE, EXACT)
    for one, other in zip(layers_with_gradients(*parts, 1), attention_with_gradients(*parts), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_gradient_row_has_the_size_of_the_terms_of_dp_also_where_they_cancel() -> None:
    """A query that sees one key has dQ = 0 by dP - D, and D from out and dO (as fused kernels have it) rounds apart."""
    q, do = np.random.default_rng(0).normal(size=(2, 1, 6, 8))
    k, v = np.random.default_rng(1).normal(size=(2, 6, 8))
    do[0, 0] -= v[0] * (do[0, 0] @ v[0]) / (v[0] @ v[0])
    found, sizes = oracle.attention_with_gradients(q, k, v, do, parse_mask("causal"), 1.0, oracle.EXACT)
    assert abs(do[0, 0] @ v[0]) < 1e-14
    assert np.abs(found.dq[0, 0]).max() < 1e-14
    terms = np.sqrt(np.sum((do[0, 0] * v[0]) ** 2))
    assert sizes.dq[0, 0] == pytest.approx(2 * terms * np.linalg.norm(k[0]))
