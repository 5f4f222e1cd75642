"""The parent's side of verification, which runs in a process of its own with NumPy and no framework."""

from __future__ import annotations

import os
from pathlib import Path

from compare.maths.oracle import checked_rows
from compare.measure.workers import WorkerProcess
from compare.schema.records import Agreement, Contender, Notice, PassName, Problem, Settings
from compare.verify.process import Verified, Verify

# Of a product: the oracle has threads of its own.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class VerificationFailed(Exception):
    """The verification process failed, with its reason."""


def agreements(
    problem: Problem, settings: Settings, folders: dict[Contender, Path], log: Path, budget_s: float
) -> dict[Contender, Agreement]:
    """The agreement of the arrays that each contender wrote to its folder.  Raises VerificationFailed."""
    request = Verify(
        problem=problem,
        device=settings.device,
        folders={contender.name: str(folder) for contender, folder in folders.items()},
        budget_s=budget_s,
    )
    process = WorkerProcess(os.environ | ONE_THREAD, log, module="compare.verify.process", replies=Verified)
    try:
        reply = process.ask(request, settings.timeout_s)
    finally:
        process.stop()
    if not isinstance(reply, Verified):
        raise VerificationFailed(getattr(reply, "reason", "no answer"))
    return {contender: reply.agreements[contender.name] for contender in folders}


def unchecked(problem: Problem, passes: tuple[PassName, ...], contenders: int) -> tuple[Notice, ...]:
    """The warning that the oracle checked only some rows of large slices."""
    queries, keys = (len(rows) for rows in checked_rows(problem))
    if queries == problem.q_len:
        return ()
    numbers: dict[str, float] = {"queries": queries, "of_queries": problem.q_len, "contenders": contenders}
    gradients: dict[str, float] = {} if passes == ("forward",) else {"keys": keys, "of_keys": problem.kv_len}
    return (Notice(code="checked-in-part", numbers=numbers | gradients),)


def rounding(agreement: Agreement | None) -> tuple[Notice, ...]:
    """The warning that TF32 products truncate their operands instead of rounding them."""
    if not agreement or not agreement.tf32_cut_off:
        return ()
    return (Notice(code="tf32-cut-off"),)
