"""The parent's side of the agreement check: the judge runs in a process of its own, with NumPy and no framework."""

from __future__ import annotations

import os
from pathlib import Path

from compare.agreement import Judge, Judged
from compare.circumstances import Settings
from compare.records import Agreement, Contender, Problem
from compare.workers import WorkerProcess


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
    process = WorkerProcess(dict(os.environ), log, module="compare.agreement", replies=Judged)
    try:
        reply = process.ask(request, settings.timeout_s)
    finally:
        process.stop()
    if not isinstance(reply, Judged):
        raise JudgeFailed(getattr(reply, "reason", "no answer"))
    return {contender: reply.agreements[contender.name] for contender in folders}
