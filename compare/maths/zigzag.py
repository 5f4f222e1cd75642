"""Where the positions of a sequence lie on D devices, and which keys a device's queries can see at another one.

Under a causal mask the sequence is cut into 2 D chunks, and device r holds chunks r and 2 D - 1 - r, so that all
devices compute alike much (as in Llama 3's training, Dubey et al. 2024, arXiv:2407.21783, section 3.3.2, and in
PyTorch's context_parallel).  Under a full mask device r holds the r-th of D equal parts.
"""

from __future__ import annotations

from math import gcd
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compare.schema.contract import Mask

MOST_GROUPS = 8  # of heads, which several devices go through one after the other

Sees = Literal["causal", "all", "lower keys", "upper queries"]


def positions(length: int, devices: int, causal: bool) -> NDArray[Any]:
    """Positions of the sequence in the order in which they lie on the devices: [T], device 0 first."""
    if not causal:
        return np.arange(length)
    chunks = np.arange(length).reshape(2 * devices, -1)
    return np.concatenate([chunks[[device, 2 * devices - 1 - device]].ravel() for device in range(devices)])


def chunks(devices: int, back: bool = False) -> list[int]:
    """The chunks in the order of a causal sequence, by where they lie on the devices; or ``back``, the other way."""
    lie = positions(2 * devices, devices, causal=True)
    return [int(each) for each in (lie if back else np.argsort(lie))]


def sees(device: int, owner: int, causal: bool) -> Sees:
    """What the queries of a device see of the keys of another one, both in the order of `positions`.

    ``causal``: as on one device; ``lower keys``: all queries see the first half of the keys and nothing else;
    ``upper queries``: the second half of the queries sees all keys, the first half none.
    """
    if not causal:
        return "all"
    if device == owner:
        return "causal"
    return "lower keys" if owner < device else "upper queries"


def refusal(q_len: int, kv_len: int, mask: Mask, devices: int) -> str:
    """Why a problem cannot be laid out so; empty where it can."""
    if devices > 1 and not (q_len and kv_len):
        return f"several devices need at least one query and one key, got {q_len} and {kv_len}"
    if mask.kind not in ("full", "causal"):
        return f"several devices share a full or a causal mask, not {mask.kind}"
    if mask.kind == "causal" and devices > 1 and q_len != kv_len:
        return f"several devices share a causal mask only where T is S, got {q_len} and {kv_len}"
    parts = 2 * devices if mask.kind == "causal" and devices > 1 else devices
    for name, length in (("T", q_len), ("S", kv_len)):
        if length % parts:
            return f"{devices} devices need {name} to be a multiple of {parts}, got {length}"
    return ""


def heads_refused(heads: int, kv_heads: int, devices: int) -> str:
    """Why heads cannot be dealt out to the devices; empty where they can."""
    for name, count in (("query", heads), ("key", kv_heads)):
        if count % devices:
            return f"{devices} devices need the {name} heads to be a multiple of {devices}, got {count}"
    return ""


def head_groups(kv_heads: int) -> int:
    """Into how many groups of heads a device cuts its work: what it holds between is a group's alone."""
    return gcd(kv_heads, MOST_GROUPS)
