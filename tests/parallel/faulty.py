"""Functions of a user's that fail on one device of two."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from torch_attn import sequence
from torch_attn.variants import ring


def fine(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    return ring.attention(q, k, v, mask=mask, scale=scale)


def dies(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    if sequence.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return fine(q, k, v, mask=mask, scale=scale)


def hangs(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    while sequence.rank() == 1:
        time.sleep(1)
    return fine(q, k, v, mask=mask, scale=scale)


def raises(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    if sequence.rank() == 1:
        raise ValueError("this device has had enough")
    return fine(q, k, v, mask=mask, scale=scale)
