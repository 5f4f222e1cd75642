"""Functions of a user's that fail on one device of two, in either framework."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from typing import Any


def second() -> bool:
    """Whether this is the second process, by what the launcher says."""
    return (os.environ.get("RANK") or os.environ["JAX_PROCESS_ID"]) == "1"


def fine(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    package = "torch_attn" if type(q).__module__ == "torch" else "jax_attn"
    return import_module(f"{package}.variants.ring").attention(q, k, v, mask=mask, scale=scale)


def dies(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    if second():
        os.kill(os.getpid(), signal.SIGKILL)
    return fine(q, k, v, mask=mask, scale=scale)


def hangs(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    while second():
        time.sleep(1)
    return fine(q, k, v, mask=mask, scale=scale)


def raises(q: Any, k: Any, v: Any, *, mask: str, scale: float | None) -> Any:
    if second():
        raise ValueError("this device has had enough")
    return fine(q, k, v, mask=mask, scale=scale)
