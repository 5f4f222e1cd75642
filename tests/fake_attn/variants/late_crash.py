"""Killed in its third turn."""

from __future__ import annotations

import os
import signal

from tests.fake_attn.device import DEVICE, Array, Node
from tests.fake_attn.variants.naive import planned

LAST_TRACE = 3  # one that looks at memory, and two turns
traces: set[int] = set()


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if DEVICE.recording:
        traces.add(DEVICE.traces)
    if len(traces) > LAST_TRACE:
        os.kill(os.getpid(), signal.SIGKILL)
    return planned(q, k, v, mask, scale)
