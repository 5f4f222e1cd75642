"""The profiler loses all kernels of the first two traces of samples."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.naive import BACKWARD_NS, FORWARD_NS, planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))
REFUSED = (2, 3)  # places among the traces of this variant; the first one looks at memory
traces: list[int] = []


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording and DEVICE.traces not in traces:
        traces.append(DEVICE.traces)
    lost = FORWARD_NS.keys() | BACKWARD_NS.keys() if len(traces) in REFUSED else set()
    return planned(q, k, v, mask, scale, lost=frozenset(lost))
