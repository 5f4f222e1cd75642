"""Never answers, and has started a process of its own."""

from __future__ import annotations

import subprocess
import time

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    subprocess.Popen(["sleep", "1000"])
    time.sleep(1000)
    raise AssertionError
