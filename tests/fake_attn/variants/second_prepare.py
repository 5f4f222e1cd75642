"""Killed when it is prepared a second time (the marker file in FAKE_MARKS says that it was)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned

pid_of_first = Path(os.environ.get("FAKE_MARKS", "/tmp")) / "second_prepare"

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if not pid_of_first.exists():
        pid_of_first.write_text(str(os.getpid()))
    if pid_of_first.read_text() != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return planned(q, k, v, mask, scale)
