"""The inputs of a problem: seeded NumPy draws, rounded to the problem's dtype before any framework sees them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from compare.schema.records import Dtype, Problem

Float32 = NDArray[np.float32]
Inputs = tuple[Float32, Float32, Float32, Float32]

CHUNK_NUMBERS = 2**18  # that are drawn and rounded at a time, in a processor's cache


def keep_bits(x: Float32, mantissa_bits: int) -> Float32:
    """Round float32 to ``mantissa_bits`` explicit mantissa bits, ties to even; the exponent range stays float32's."""
    drop = 23 - mantissa_bits
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1)
    rounded = (bits + half + ((bits >> np.uint32(drop)) & np.uint32(1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return rounded.view(np.float32)


def cut_bits(x: Float32, mantissa_bits: int) -> Float32:
    """Drop all but so many explicit mantissa bits of float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFFFFFF << (23 - mantissa_bits) & 0xFFFFFFFF)).view(np.float32)


def round_to(x: Float32, dtype: Dtype) -> Float32:
    """The nearest value of ``dtype``, held in float32, so that every framework's own cast is exact."""
    if dtype == "bfloat16":
        return keep_bits(x, 7)
    if dtype == "float16":
        return x.astype(np.float16).astype(np.float32)
    return x


def draw(problem: Problem) -> Inputs:
    """q, k, v and dO: standard normal, each from a stream of its own.  Never zeros: a GPU multiplies those faster.

    Drawn a chunk at a time by as many threads as there are processors; the numbers do not depend on how many.
    """
    shapes = (problem.q_shape, problem.kv_shape, problem.kv_shape, problem.q_shape)
    q, k, v, do = (np.empty(shape, np.float32) for shape in shapes)
    jobs: list[tuple[Float32, np.random.SeedSequence]] = []
    for tensor, stream in zip((q, k, v, do), np.random.SeedSequence(problem.seed).spawn(4), strict=True):
        chunks = [tensor.reshape(-1)[start : start + CHUNK_NUMBERS] for start in range(0, tensor.size, CHUNK_NUMBERS)]
        jobs += zip(chunks, stream.spawn(len(chunks)), strict=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(partial(_fill, problem.dtype), *zip(*jobs, strict=True)))
    return q, k, v, do


def _fill(dtype: Dtype, chunk: Float32, stream: np.random.SeedSequence) -> None:
    np.random.default_rng(stream).standard_normal(dtype=np.float32, out=chunk)
    chunk[:] = round_to(chunk, dtype)
