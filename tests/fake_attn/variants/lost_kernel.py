"""The profiler loses the softmax of every iteration in the first trace of samples, and nothing else."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))
FIRST_SAMPLES = 2  # its place among the traces of this variant; the first one looks at memory
traces: list[int] = []


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording and DEVICE.traces not in traces:
        traces.append(DEVICE.traces)
    lost = {"softmax"} if len(traces) == FIRST_SAMPLES else set()
    return planned(q, k, v, mask, scale, lost=frozenset(lost))
