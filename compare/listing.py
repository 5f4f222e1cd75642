"""What ``--list`` and ``--dry-run`` show."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from compare import cases
from compare.backends import BACKENDS, missing_modules, variants
from compare.cases import Plan
from compare.contract import MASKS
from compare.records import DTYPES, PASSES, PRECISIONS


def show_choices(console: Console) -> int:
    """Every backend with its variants and modes, and the values of the other options."""
    table = Table(
        "backend", "variants", "modes", "here", title="Contenders: backend:variant:mode", title_justify="left"
    )
    for name, entry in BACKENDS.items():
        missing = missing_modules(name)
        here = f"not installed: {entry.install}" if missing else "installed"
        table.add_row(name, " ".join(variants(name)), " ".join(entry.modes), here)
    console.print(table)
    for option, values in (
        ("--mask", MASKS),
        ("--dtype", DTYPES),
        ("--matmul-precision", PRECISIONS),
        ("--pass", PASSES),
    ):
        console.print(f"{option:<19}{' '.join(values)}", highlight=False)
    return 0


def show_plan(plan: Plan, console: Console) -> int:
    """The cases in order, with what each needs and how long it may take."""
    table = Table("#", "problem", "contender", title=f"{plan.settings.device}: cases in order", title_justify="left")
    table.add_column("needs MB", justify="right")
    table.add_column("at most s", justify="right")
    total_s = 0.0
    for number, problem in enumerate(plan.problems, 1):
        for at, contender in enumerate(plan.contenders):
            seconds = cases.case_s(problem, plan.settings)
            total_s += seconds
            needed = cases.case_bytes(problem, plan.settings.passes) / 1e6
            heading = (str(number), problem.label) if at == 0 else ("", "")
            table.add_row(*heading, contender.name, f"{needed:.0f}", f"{seconds:.0f}")
    console.print(table)
    cases_count = len(plan.problems) * len(plan.contenders)
    console.print(
        f"{cases_count} cases, about {total_s / 60:.0f} minutes; results would go to {plan.out}", highlight=False
    )
    return 0
