"""What a pass moves and computes, and what devices send to each other, by formula: the problem and the variant alone.

docs/method.md and docs/scaling.md derive the formulas.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from compare.maths.prediction import input_bytes, output_bytes, score_bytes, score_share
from compare.schema.contract import Variant, visible_scores
from compare.schema.records import ITEM_BYTES, PassName, Problem

SUM_BYTES = 4  # of a number of dK and dV that is summed up over devices: float32
# Passes over the score matrix.  Forward: QK^T written; read and the softmax written; read for PV.  Backward: P read for
# dV; dP = dO V^T written; P and dP read and dS written; dS read for dQ and for dK.
SCORE_PASSES: dict[PassName, int] = {"forward": 4, "backward": 7, "step": 11}
PRODUCTS: dict[PassName, int] = {"forward": 2, "backward": 4, "step": 6}


class Work(msgspec.Struct, frozen=True):
    """What a pass must move and compute: ``once_bytes`` of inputs and results, the rest passes over score matrices."""

    size_bytes: int
    flops: int
    once_bytes: int
    matrix_bytes: int


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


def work(problem: Problem, name: PassName, variant: Variant | None) -> Work | None:
    """Bytes and FLOPs of one iteration of a pass, all layers, one device's share; None where nothing is known.

    A variant that holds scores moves them: all T x S whatever the mask, or the blocks that the mask shows.  One that
    holds none computes what the mask shows.  What it recomputes in training is one product, and three passes more over
    the scores that it holds (Dao et al. 2022).  A variant that chooses among others is counted as the one that ran.
    """
    if variant is None or not variant.scores or variant.candidates:
        return None
    again = int(variant.recomputes and name != "forward")
    if variant.scores == "none":
        shown = visible_scores(problem.scores.mask, problem.q_len, problem.kv_len)
        layer = of_scores(problem, name, shown / (problem.q_len * problem.kv_len), 0, PRODUCTS[name] + again)
    else:
        share = score_share(problem, variant)
        layer = of_scores(problem, name, share, SCORE_PASSES[name] + 3 * again, PRODUCTS[name] + again)
    return Work(
        problem.layers * layer.size_bytes,
        problem.layers * layer.flops,
        problem.layers * layer.once_bytes,
        layer.matrix_bytes,
    )


def sent_bytes(exchange: str, problem: Problem, name: PassName) -> int | None:
    """Bytes that each device sends in all layers; None for a scheme that is not known."""
    if exchange == "ring_of_query_heads":  # a ring whose key heads are copied, one for each query head
        return sent_bytes("ring", replace(problem, kv_heads=problem.heads), name)
    if name == "step":
        halves = [sent_bytes(exchange, problem, half) for half in ("forward", "backward")]
        return None if None in halves else sum(half for half in halves if half is not None)
    devices, outputs = problem.devices, output_bytes(problem)
    keys = input_bytes(problem) - outputs  # K and V of one device
    sums = keys * SUM_BYTES // ITEM_BYTES[problem.dtype]
    others = devices - 1
    if devices == 1:
        return 0
    each = {
        ("ring", "forward"): others * keys,
        ("ring", "backward"): others * keys + devices * sums,
        ("allgather", "forward"): others * keys,
        ("allgather", "backward"): others * keys + others * sums,
        ("all_to_all", "forward"): others * (keys + 2 * outputs) // devices,
        ("all_to_all", "backward"): others * (keys + 2 * outputs) // devices,
    }.get((exchange, name))
    return None if each is None else problem.layers * each
