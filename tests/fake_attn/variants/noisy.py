"""Prints to stdout and stderr, through Python and past it."""

from __future__ import annotations

import os
import sys

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))
GARBAGE = b'NOISE {"type": "Prepared"}\\n\\x00\\xff\\x1b[2J'


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    print("NOISE on stdout")
    print("NOISE on stderr", file=sys.stderr)
    os.write(1, GARBAGE)
    os.write(2, GARBAGE)
    return planned(q, k, v, mask, scale)
