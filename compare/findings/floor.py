"""The floor under a pass: the bytes and FLOPs it cannot do without, over the rates that this device reached.

Roofline (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785): moving and computing may overlap, so the
slower of the two is the floor.  Pure functions of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Literal

import msgspec

from compare.backends import SEQUENCE_PARALLEL
from compare.contract import parse_mask, visible_scores
from compare.device_rate import DeviceRate
from compare.findings.analysis import measurements
from compare.findings.summary import device_time, trusted
from compare.maths.prediction import input_bytes, output_bytes, score_bytes, score_share
from compare.profile.naivety import NOT_NAIVE
from compare.records import Contender, Dtype, Measurement, PassName, Precision, Problem, Row

Bound = Literal["memory", "compute"]

# Passes over the score matrix.  Forward: QK^T written; read and the softmax written; read for PV.  Backward: P read for
# dV; dP = dO V^T written; P and dP read and dS written; dS read for dQ and for dK.
SCORE_PASSES: dict[PassName, int] = {"forward": 4, "backward": 7, "step": 11}
PRODUCTS: dict[PassName, int] = {"forward": 2, "backward": 4, "step": 6}
# What is less than so many times the last-level cache is served from the cache in good part from pass to pass.
OVER_CACHE = 4


class Work(msgspec.Struct, frozen=True):
    """What a pass must move and compute: ``once_bytes`` of inputs and results, the rest passes over score matrices."""

    size_bytes: int
    flops: int
    once_bytes: int
    matrix_bytes: int


class Rates(msgspec.Struct, frozen=True):
    """The best that any backend reached on the device, bytes and FLOPs per second; None where nothing is known."""

    copy_bytes_per_s: float | None = None
    matmul_flops_per_s: float | None = None
    cache_bytes: int | None = None


class Achieved(msgspec.Struct, frozen=True):
    """What a pass reached by the count of its variant, and its floor; ``share`` is floor over time, 1 at the floor."""

    bytes_per_s: float
    flops_per_s: float
    floor_s: float | None = None
    bound: Bound | None = None
    share: float | None = None


def of_scores(problem: Problem, name: PassName, share: float, score_passes: int, products: int) -> Work:
    """A share of the scores, so many times past memory and in so many products, and what no variant can do without.

    Forward reads q, k, v and writes the output; backward reads these and dO and writes dQ, dK and dV.
    """
    inputs, output, scores = input_bytes(problem), output_bytes(problem), score_bytes(problem) // problem.devices
    once: dict[PassName, int] = {"forward": inputs + output, "backward": 2 * inputs + output}
    once["step"] = once["forward"] + once["backward"]
    product = 2 * problem.batch * problem.heads * problem.q_len * problem.kv_len * problem.head_dim // problem.devices
    moved = once[name] + int(share * score_passes * scores)
    return Work(moved, int(share * products * product), once[name], int(share * scores))


def naive(variant: str, problem: Problem, name: PassName) -> Work:
    """Scores pass through memory, the whole T x S whatever the mask, or the part that a sparse variant computes."""
    return of_scores(problem, name, score_share(variant, problem), SCORE_PASSES[name], PRODUCTS[name])


def checkpoint(variant: str, problem: Problem, name: PassName) -> Work:
    """As naive, and the probabilities once more where it trains: one product and three passes over the scores."""
    again = 0 if name == "forward" else 1
    share = score_share(variant, problem)
    return of_scores(problem, name, share, SCORE_PASSES[name] + 3 * again, PRODUCTS[name] + again)


def fused(variant: str, problem: Problem, name: PassName) -> Work:
    """No scores in memory; of what the mask shows QK^T once more in the training passes (Dao et al. 2022)."""
    again = 0 if name == "forward" else 1
    shown = visible_scores(parse_mask(problem.mask), problem.q_len, problem.kv_len)
    return of_scores(problem, name, shown / (problem.q_len * problem.kv_len), 0, PRODUCTS[name] + again)


# A variant without an entry has no figure.  `fused` has that of the variant that it ran.
COUNTS: dict[str, Callable[[str, Problem, PassName], Work]] = {
    **dict.fromkeys(("naive", "naive_lean", "fused_xla", "window", "strided"), naive),
    "checkpoint": checkpoint,
    **dict.fromkeys(("fused_chunked", "fused_cudnn", "fused_efficient", "fused_flash", "flex", "varlen"), fused),
    **dict.fromkeys(("tokamax_mosaic", "tokamax_triton", *SEQUENCE_PARALLEL), fused),
}


def work(variant: str, problem: Problem, name: PassName) -> Work | None:
    """Bytes and FLOPs of one iteration of a pass, all layers, one device's share; None where no count is known."""
    count = COUNTS.get(variant)
    if count is None:
        return None
    layer = count(variant, problem, name)
    return Work(
        problem.layers * layer.size_bytes,
        problem.layers * layer.flops,
        problem.layers * layer.once_bytes,
        layer.matrix_bytes,
    )


def best_rates(rates: Iterable[DeviceRate], dtype: Dtype, precision: Precision) -> Rates:
    """The better of the backends' figures: one device has one floor."""
    found = [rate for rate in rates if (rate.dtype, rate.matmul_precision) == (dtype, precision)]
    return Rates(
        _largest(rate.copy_bytes_per_s for rate in found),
        _largest(rate.matmul_flops_per_s for rate in found),
        max((rate.cache_bytes for rate in found if rate.cache_bytes), default=None),
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None and isfinite(value) and value > 0), default=None)


def from_memory(work: Work, cache_bytes: int | None) -> int:
    """The bytes that a pass moves and no cache serves: a small matrix, and small inputs, are not read again."""
    limit = OVER_CACHE * (cache_bytes or 0)
    scores = 0 if work.matrix_bytes < limit else work.size_bytes - work.once_bytes
    return scores + (0 if work.once_bytes < limit else work.once_bytes)


def cached(work: Work, cache_bytes: int | None) -> bool:
    """Whether a cache serves a part of what the pass moves, so that its GB/s are not those of memory."""
    return from_memory(work, cache_bytes) < work.size_bytes


def floor(work: Work, rates: Rates) -> tuple[float, Bound] | None:
    """Seconds of the floor and which of the two it is; None unless both rates are known."""
    if rates.copy_bytes_per_s is None or rates.matmul_flops_per_s is None:
        return None
    compute_s = work.flops / rates.matmul_flops_per_s
    memory_s = from_memory(work, rates.cache_bytes) / rates.copy_bytes_per_s
    return (memory_s, "memory") if memory_s > compute_s else (compute_s, "compute")


def work_of(row: Measurement, name: PassName) -> Work | None:
    """The work of what the row ran."""
    return work(row.ran or row.contender.variant, row.problem, name)


def achieved(row: Measurement, name: PassName, rates: Rates) -> Achieved | None:
    """What one pass of a row reached; None where the pass, its time or the count of its variant is missing."""
    count = work_of(row, name)
    result = row.passes.get(name)
    if count is None or result is None or not result.device_s:
        return None
    time_s = device_time(result).median
    if not time_s > 0:
        return None
    found = floor(count, rates)
    bytes_per_s, flops_per_s = count.size_bytes / time_s, count.flops / time_s
    if found is None:
        return Achieved(bytes_per_s, flops_per_s)
    return Achieved(bytes_per_s, flops_per_s, *found, found[0] / time_s)


def fused_by_compiler(row: Measurement, name: PassName) -> bool:
    """Whether the compiler fused this pass of a naive row, so that it does not do the work that is counted."""
    return any(notice.code == NOT_NAIVE and notice.text.startswith(f"{name}:") for notice in row.warnings)


class Reached(msgspec.Struct, frozen=True):
    """One pass of one row beside its floor."""

    row: Measurement
    pass_name: PassName
    achieved: Achieved | None
    fused: bool
    cached: bool


def reached(rows: Iterable[Row], rates: Iterable[DeviceRate]) -> list[Reached]:
    """Every pass of the rows whose numbers agree."""
    known = tuple(rates)
    found = []
    for row in filter(trusted, measurements(rows)):
        best = best_rates(known, row.problem.dtype, row.problem.matmul_precision)
        for name in row.passes:
            count = work_of(row, name)
            small = count is not None and cached(count, best.cache_bytes)
            found.append(Reached(row, name, achieved(row, name, best), fused_by_compiler(row, name), small))
    return found


def nearest(found: Iterable[Reached]) -> dict[Contender, Reached]:
    """Of each contender the pass that came nearest to its floor, without those that did not do the counted work."""
    best: dict[Contender, Reached] = {}
    for each in found:
        share = each.achieved.share if each.achieved else None
        before = best.get(each.row.contender)
        least = before.achieved.share if before and before.achieved else None
        if share is not None and not each.fused and share > (least or 0.0):
            best[each.row.contender] = each
    return best
