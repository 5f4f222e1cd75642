"""Raises an error in the third round under the profiler."""

from __future__ import annotations

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.late_crash import LAST_CALL
from tests.fake_attn.variants.naive import planned

calls: list[int] = []

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording:
        calls.append(DEVICE.traces)
    if len(calls) > LAST_CALL:
        raise RuntimeError("the fake broke late")
    return planned(q, k, v, mask, scale)
