"""Killed in its first call, as the kernel's out-of-memory killer does it."""

from __future__ import annotations

import os
import signal

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
