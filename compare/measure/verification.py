"""The parent's side of verification, which runs in a process of its own with NumPy and no framework."""

from __future__ import annotations

import os
from pathlib import Path

from compare.maths.oracle import checked_rows
from compare.measure.workers import WorkerProcess
from compare.schema.records import Agreement, Contender, Notice, PassName, Problem, Settings
from compare.verify.process import Judge, Judged

# Of a product: the oracle has threads of its own.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class JudgeFailed(Exception):
    """The judge gave no verdict, and why."""


def agreements(
    problem: Problem, settings: Settings, folders: dict[Contender, Path], log: Path, budget_s: float
) -> dict[Contender, Agreement]:
    """The verdict on the arrays that each contender left in its folder."""
    request = Judge(
        problem=problem,
        device=settings.device,
        folders={contender.name: str(folder) for contender, folder in folders.items()},
        budget_s=budget_s,
    )
    process = WorkerProcess(os.environ | ONE_THREAD, log, module="compare.verify.process", replies=Judged)
    try:
        reply = process.ask(request, settings.timeout_s)
    finally:
        process.stop()
    if not isinstance(reply, Judged):
        raise JudgeFailed(getattr(reply, "reason", "no answer"))
    return {contender: reply.agreements[contender.name] for contender in folders}


def unchecked(problem: Problem, passes: tuple[PassName, ...], contenders: int) -> tuple[Notice, ...]:
    """What the oracle leaves out of slices that have too many scores for it."""
    queries, keys = (len(each) for each in checked_rows(problem))
    if queries == problem.q_len:
        return ()
    text = f"numbers: the oracle took {queries} of {problem.q_len} query rows of a slice"
    if passes != ("forward",):
        text += f" and dK and dV of {keys} of {problem.kv_len} keys"
    rest = "were held against the other contenders alone" if contenders > 1 else "were not checked"
    return (Notice(code="checked-in-part", text=f"{text}; the other rows {rest}"),)


def rounding(agreement: Agreement | None) -> tuple[Notice, ...]:
    """Says of TF32 products that they take the operands' upper bits and round nothing."""
    if not agreement or not agreement.tf32_cut_off:
        return ()
    text = "numbers: the errors of TF32 operands that are cut off, not rounded, about three times those of rounded ones"
    return (Notice(code="tf32-cut-off", text=text),)
