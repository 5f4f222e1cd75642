"""Ends its process in the first call, as a failed assertion of a C library does."""

from __future__ import annotations

import os
import sys

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    print("the library gives up", file=sys.stderr, flush=True)
    os._exit(7)
