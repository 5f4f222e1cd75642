"""Inputs are the same everywhere: rounding against each framework's own cast, draws against each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.maths.inputs import draw, keep_bits, round_to
from compare.schema.records import DTYPES, Dtype
from tests import samples

PROPERTY = settings(max_examples=200, deadline=None)
PROBLEM = samples.problem(batch=2, q_len=6, kv_len=9, heads=4, kv_heads=2, head_dim=8)
floats = st.floats(width=32, allow_nan=False)
# Ties and their neighbours, the largest finite values, subnormals, signed zeros, infinities.
EDGES = np.array(
    [0x3F808000, 0x3F807FFF, 0x3F808001, 0x3F818000, 0x7F7FFFFF, 0x7F7F0000, 0x7F7F8000, 1, 0x8000, 0, 0x7F800000],
    np.uint32,
)


def patterns() -> np.ndarray:
    """Edge values of both signs and 100 000 random finite bit patterns, as float32."""
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32)
    values = np.concatenate([EDGES, EDGES | np.uint32(0x80000000), bits]).view(np.float32)
    return values[~np.isnan(values)]


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    assert one.dtype == other.dtype == np.float32
    return np.array_equal(one.view(np.uint32), other.view(np.uint32))


def nearest(value: float, mantissa_bits: int) -> float:
    """Round half to even on the grid of the value's own power of two, in exact float64."""
    exponent = max(int(np.floor(np.log2(abs(value)))), -126) if value else -126
    step = 2.0 ** (exponent - mantissa_bits)
    return round(value / step) * step  # Python rounds halves to even


def test_bfloat16_is_the_cast_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = patterns()
    assert same_bits(round_to(x, "bfloat16"), x.astype(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_is_the_cast_of_torch(dtype: Dtype) -> None:
    torch = pytest.importorskip("torch")
    x = patterns()
    with np.errstate(over="ignore"):
        ours = round_to(x, dtype)
    assert same_bits(ours, torch.from_numpy(x).to(getattr(torch, dtype)).to(torch.float32).numpy())


@PROPERTY
@given(floats.filter(lambda x: abs(x) < 2.0**126), st.integers(1, 22))
def test_keep_bits_is_the_nearest_value_with_that_many_bits(value: float, mantissa_bits: int) -> None:
    rounded = keep_bits(np.array([value], np.float32), mantissa_bits)
    assert rounded[0] == nearest(value, mantissa_bits)
    assert same_bits(keep_bits(rounded, mantissa_bits), rounded)


def test_float32_stays_as_it_is() -> None:
    x = patterns()
    assert same_bits(round_to(x, "float32"), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_draw_repeats_itself_in_the_problems_shapes(dtype: Dtype) -> None:
    problem = replace(PROBLEM, dtype=dtype)
    first, again = draw(problem), draw(problem)
    assert [x.shape for x in first] == [(2, 6, 4, 8), (2, 9, 2, 8), (2, 9, 2, 8), (2, 6, 4, 8)]
    assert all(same_bits(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_draw_is_representable_in_its_dtype(dtype: Dtype) -> None:
    exact = draw(PROBLEM)
    for x, full in zip(draw(replace(PROBLEM, dtype=dtype)), exact, strict=True):
        assert same_bits(round_to(x, dtype), x)
        assert same_bits(round_to(full, dtype), x)  # the same draw in every dtype, rounded
        assert not same_bits(full, x)


def test_draw_differs_by_seed_and_between_tensors() -> None:
    tensors = draw(PROBLEM)
    assert not any(np.any(a == b) for a, b in zip(tensors, draw(replace(PROBLEM, seed=1)), strict=True))
    same = draw(replace(PROBLEM, kv_len=PROBLEM.q_len, kv_heads=PROBLEM.heads))
    assert not any(np.any(a == b) for a, b in combinations(same, 2))


@pytest.mark.parametrize(
    "other", [{"mask": "window:3"}, {"matmul_precision": "tf32"}], ids=["mask", "matmul precision"]
)
def test_draw_does_not_depend_on_how_the_problem_is_computed(other: dict[str, str]) -> None:
    assert all(same_bits(a, b) for a, b in zip(draw(PROBLEM), draw(replace(PROBLEM, **other)), strict=True))


def test_draw_is_standard_normal() -> None:
    x = np.concatenate([each.ravel() for each in draw(replace(PROBLEM, q_len=512, kv_len=512))]).astype(np.float64)
    error = x.size**-0.5
    assert abs(x.mean()) < 5 * error
    assert abs(x.std() - 1) < 5 * error
    assert np.all(x != 0)
