"""Out of memory while another worker of the fake lives (adapter.WORKERS)."""

from __future__ import annotations

import os
from pathlib import Path

from compare.schema.contract import Variant
from tests.fake_attn.adapter import WORKERS
from tests.fake_attn.device import Array, Node, OutOfMemory
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    if any(map(alive, other_workers())):
        raise OutOfMemory(12_345_678)
    return planned(q, k, v, mask, scale)


def other_workers() -> set[int]:
    return {int(path.name) for path in Path(os.environ[WORKERS]).iterdir()} - {os.getpid()}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
