"""The profiler loses the softmax of every iteration in the second round, and nothing else."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))
SECOND_ROUND = range(10, 16)  # of the calls that are profiled: three look at memory, then six a round
calls: list[int] = []


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording:
        calls.append(DEVICE.traces)
    lost = {"softmax"} if DEVICE.recording and len(calls) in SECOND_ROUND else set()
    return planned(q, k, v, mask, scale, lost=frozenset(lost))
