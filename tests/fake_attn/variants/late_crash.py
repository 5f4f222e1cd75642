"""Killed in the third round under the profiler."""

from __future__ import annotations

import os
import signal

from compare.schema.contract import Variant
from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))
LAST_CALL = 15  # of those that are profiled: three look at memory, then six a round
calls: list[int] = []


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording:
        calls.append(DEVICE.traces)
    if len(calls) > LAST_CALL:
        os.kill(os.getpid(), signal.SIGKILL)
    return planned(q, k, v, mask, scale)
