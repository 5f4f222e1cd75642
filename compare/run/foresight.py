"""Which cases a run will skip at once, and why: for the plan that is shown before anything is measured."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from compare.backends import SEQUENCE_PARALLEL, refuses
from compare.plan.cases import Plan
from compare.records import Case, Contender, Problem
from compare.run.fleet import Fleet
from compare.worker import composing
from compare.worker.messages import Foresee, Foreseen


def known(problem: Problem, contender: Contender, contenders: Sequence[Contender]) -> str:
    """Why a case is skipped, as far as that follows from its names and sizes; empty where it does not."""
    alone = replace(contender, variant="fused", entrant=1)
    if contender.variant in SEQUENCE_PARALLEL and problem.devices == 1 and alone in contenders:
        return f"on one device it runs what {alone.name} runs, a contender here"
    return composing.refusal(problem, contender.variant)


def refusals(plan: Plan) -> dict[Case, str]:
    """The cases of a plan that will be skipped, and why.

    A worker is started for those backends alone of which a variant takes part that can say what it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        fleet = Fleet(plan.settings, Path(folder), lambda _report: None)
        try:
            cases = (Case(problem=each, contender=who) for each in plan.problems for who in plan.contenders)
            reasons = {case: _reason(plan, case, fleet) for case in cases}
        finally:
            fleet.stop()
    return {case: reason for case, reason in reasons.items() if reason}


def _reason(plan: Plan, case: Case, fleet: Fleet) -> str:
    if reason := known(case.problem, case.contender, plan.contenders):
        return reason
    if case.problem.devices > 1 or not refuses(case.contender.backend, case.contender.variant):
        return ""
    reply = fleet.ask(case.contender, Foresee(case=case, trained=plan.settings.passes != ("forward",)))
    return reply.reason if isinstance(reply, Foreseen) else ""
