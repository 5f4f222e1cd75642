"""The inputs of a problem: seeded NumPy draws, rounded to the problem's dtype before any framework sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compare.records import Dtype, Problem

Float32 = NDArray[np.float32]
Inputs = tuple[Float32, Float32, Float32, Float32]


def keep_bits(x: Float32, mantissa_bits: int) -> Float32:
    """Round float32 to ``mantissa_bits`` explicit mantissa bits, ties to even; the exponent range stays float32's."""
    drop = 23 - mantissa_bits
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1)
    rounded = (bits + half + ((bits >> np.uint32(drop)) & np.uint32(1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return rounded.view(np.float32)


def round_to(x: Float32, dtype: Dtype) -> Float32:
    """The nearest value of ``dtype``, held in float32, so that every framework's own cast is exact."""
    if dtype == "bfloat16":
        return keep_bits(x, 7)
    if dtype == "float16":
        return x.astype(np.float16).astype(np.float32)
    return x


def draw(problem: Problem) -> Inputs:
    """q, k, v and dO: standard normal, drawn in this order.  Never zeros: a GPU multiplies those faster."""
    generator = np.random.default_rng(problem.seed)
    shapes = (problem.q_shape, problem.kv_shape, problem.kv_shape, problem.q_shape)
    q, k, v, do = (round_to(generator.standard_normal(shape, np.float32), problem.dtype) for shape in shapes)
    return q, k, v, do
