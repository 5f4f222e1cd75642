"""Never answers from a query length of 16 on while there is a file ``hang`` in FAKE_MARKS; says there who hangs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from compare.schema.contract import Variant
from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants.naive import planned

VARIANT = Variant(summary="of the tests", masks=("full", "causal", "window", "strided"))


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    folder = Path(os.environ.get("FAKE_MARKS", "/nowhere"))
    if q.shape[1] >= 16 and (folder / "hang").exists():
        (folder / f"hung-{os.getpid()}").touch()
        time.sleep(1000)
    return planned(q, k, v, mask, scale)
