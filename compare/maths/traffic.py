"""What a device sends to the others in one iteration of a pass, by the scheme alone: docs/scaling.md derives it."""

from __future__ import annotations

from msgspec.structs import replace

from compare.maths.prediction import input_bytes, output_bytes
from compare.schema.records import ITEM_BYTES, PassName, Problem

SUM_BYTES = 4  # of a number of dK and dV that is summed up over devices: float32


def sent_bytes(variant: str, problem: Problem, name: PassName) -> int | None:
    """Bytes that each device sends in all layers; None for a variant whose scheme is not known."""
    if variant == "context_parallel":  # a ring whose key heads are copied, one for each query head
        return sent_bytes("ring", replace(problem, kv_heads=problem.heads), name)
    if name == "step":
        halves = [sent_bytes(variant, problem, half) for half in ("forward", "backward")]
        return None if None in halves else sum(half for half in halves if half is not None)
    devices, outputs = problem.devices, output_bytes(problem)
    keys = input_bytes(problem) - outputs  # K and V of one device
    sums = keys * SUM_BYTES // ITEM_BYTES[problem.dtype]
    others = devices - 1
    if devices == 1:
        return 0
    each = {
        ("ring", "forward"): others * keys,
        ("ring", "backward"): others * keys + devices * sums,
        ("allgather", "forward"): others * keys,
        ("allgather", "backward"): others * keys + others * sums,
        ("ulysses", "forward"): others * (keys + 2 * outputs) // devices,
        ("ulysses", "backward"): others * (keys + 2 * outputs) // devices,
    }.get((variant, name))
    return None if each is None else problem.layers * each
