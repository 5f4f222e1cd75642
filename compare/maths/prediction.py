"""What an attention must hold, from the problem alone: the seed table's formula, and a bound to refuse by."""

from __future__ import annotations

from compare.maths.bands import strided_rows, window_band
from compare.schema.contract import Variant
from compare.schema.records import ITEM_BYTES, PassName, Problem

# Score-sized buffers that the hungriest measured naive step holds at once (XLA on a CPU, its scratch included).
SCORE_COPIES: dict[PassName, int] = {"forward": 3, "backward": 7, "step": 7}
NAIVE = Variant(summary="holds all scores", masks=(), scores="all", kept_scores=3)
WIDENED = 1.5  # XLA:CPU computes 16-bit problems in float32 and holds some of the buffers so


def score_bytes(problem: Problem) -> int:
    """One B x N x T x S matrix in the problem's dtype: the seed table's 'Attention Matrix'."""
    return problem.batch * problem.heads * problem.q_len * problem.kv_len * ITEM_BYTES[problem.dtype]


def input_bytes(problem: Problem) -> int:
    """q, k and v, on each of the devices that share them."""
    queries = problem.batch * problem.q_len * problem.heads * problem.head_dim
    keys = problem.batch * problem.kv_len * problem.kv_heads * problem.head_dim
    return (queries + 2 * keys) * ITEM_BYTES[problem.dtype] // problem.devices


def output_bytes(problem: Problem) -> int:
    """The output, and dO alike, on each of the devices that share them."""
    numbers = problem.batch * problem.q_len * problem.heads * problem.head_dim
    return numbers * ITEM_BYTES[problem.dtype] // problem.devices


def seed_forward_bytes(problem: Problem) -> int:
    """The seed table's Forward Memory: inputs + attention matrix + output."""
    return input_bytes(problem) + score_bytes(problem) // problem.devices + output_bytes(problem)


def seed_backward_bytes(problem: Problem) -> int:
    """The seed table's Backward Memory: its Forward Memory + a second attention matrix."""
    return seed_forward_bytes(problem) + score_bytes(problem) // problem.devices


def seed_rise_bytes(problem: Problem, name: PassName) -> int:
    """What the seed table's formulas add to what is there when a pass begins: one attention matrix, in a step two."""
    before = {"forward": input_bytes, "backward": seed_forward_bytes, "step": input_bytes}[name]
    after = seed_forward_bytes if name == "forward" else seed_backward_bytes
    return after(problem) - before(problem)


def score_share(problem: Problem, variant: Variant | None) -> float:
    """The share of the scores that a variant holds at once; 0 for one that is not described."""
    if variant is None or variant.scores not in ("all", "visible"):
        return 0.0
    if variant.scores == "all":
        return 1.0
    mask, q_len, kv_len = problem.scores.mask, problem.q_len, problem.kv_len
    if mask.kind not in variant.masks:  # refused, so nothing is held
        return 0.0
    if mask.kind not in ("window", "strided"):
        return 1.0
    cut = window_band(mask, q_len, kv_len) if mask.kind == "window" else strided_rows(mask, q_len, kv_len)
    return cut.scores / (q_len * kv_len)


def needed_bytes(problem: Problem, passes: tuple[PassName, ...], variant: Variant | None = NAIVE) -> int:
    """What the device should have free for a case: inputs and gradients, and the score-sized buffers."""
    further = problem.layers - 1 if passes != ("forward",) else 0
    kept = variant.kept_scores if variant else 0
    copies = max(SCORE_COPIES[name] for name in passes) + kept * further
    widened = 1 if ITEM_BYTES[problem.dtype] == 4 else WIDENED
    scores = copies * widened * score_bytes(problem) * score_share(problem, variant)
    return 2 * (input_bytes(problem) + output_bytes(problem)) + further * output_bytes(problem) + int(scores)
