"""Never answers the first time (a marker file in FAKE_MARKS says that it was), and works from then on."""

from __future__ import annotations

import os
from pathlib import Path

from tests.fake_attn.device import Array, Node
from tests.fake_attn.variants import hangs
from tests.fake_attn.variants.naive import planned


def attention(q: Array, k: Array, v: Array, *, mask: str = "causal", scale: float | None = None) -> Node:
    try:
        (Path(os.environ["FAKE_MARKS"]) / f"hung-{q.shape[1]}").touch(exist_ok=False)
    except FileExistsError:
        return planned(q, k, v, mask, scale)
    return hangs.attention(q, k, v)
