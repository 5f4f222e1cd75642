"""What ``--list`` and ``--dry-run`` show."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from compare.analysis.text import listed, one_line, plural
from compare.backends import BACKENDS, missing_modules
from compare.machine.memory import available_bytes
from compare.measure import runner
from compare.plan import cases
from compare.plan.cases import Plan
from compare.plan.presets import PRESETS
from compare.schema.contract import MASKS
from compare.schema.records import DTYPES, PASSES, PRECISIONS, Case
from compare.variants import description, variants


def show_choices(console: Console) -> int:
    """Every backend with its variants and modes, and the values of the other options."""
    table = Table("backend", "modes", "here", title="Contenders: backend:variant:mode", title_justify="left")
    for name, entry in BACKENDS.items():
        missing = missing_modules(name)
        table.add_row(name, " ".join(entry.modes), f"not installed: {entry.install}" if missing else "installed")
    console.print(table)
    table = Table("--variant", "backends", "what it does", title="Variants", title_justify="left")
    for name, backends in by_variant().items():
        table.add_row(name, " ".join(backends), summary_of(backends[0], name))
    console.print(table)
    table = Table("--preset", "shape", "source", title="Attention of real models", title_justify="left")
    for name, preset in PRESETS.items():
        table.add_row(name, preset.shape, preset.source)
    console.print(table)
    for option, values in (
        ("--mask", MASKS),
        ("--dtype", DTYPES),
        ("--matmul-precision", PRECISIONS),
        ("--pass", PASSES),
    ):
        console.print(f"{option:<19}{' '.join(values)}", highlight=False)
    return 0


def by_variant() -> dict[str, list[str]]:
    """The backends that have each variant, `naive` first."""
    known = {name: variants(name) for name in BACKENDS}
    names = sorted({variant for own in known.values() for variant in own}, key=lambda name: (name != "naive", name))
    return {variant: [name for name in BACKENDS if variant in known[name]] for variant in names}


def summary_of(backend: str, variant: str) -> str:
    """What a variant does, by its own description."""
    found = description(backend, variant)
    return found.summary if found else "not described, so it is skipped"


def variants_table() -> str:
    """The variants as the Markdown table of docs/method.md: `python -m tests.described` writes it there."""
    lines = ["| Variant | What it does | Where |", "| --- | --- | --- |"]
    for variant, backends in by_variant().items():
        found = description(backends[0], variant)
        alone = f"{BACKENDS[backends[0]].title} alone: {found.only}" if found and len(backends) == 1 else "both"
        lines.append(f"| `{variant}` | {summary_of(backends[0], variant)} | {alone} |")
    return "\n".join(lines)


def show_plan(plan: Plan, console: Console) -> int:
    """The cases in order, with what each needs and how long it may take; what will be skipped takes no time."""
    with console.status("checking which cases can run"):
        refused = runner.refusals(plan)
    free = available_bytes() if plan.settings.device == "cpu" else None
    table = Table("#", "problem", title=f"{plan.settings.device}: cases in order", title_justify="left")
    table.add_column("contender", overflow="fold")  # the end of a name may be all that tells it from another
    table.add_column("needs MB", justify="right")
    table.add_column("about s", justify="right")
    total_s, skipped = cases.START_S[plan.settings.device], dict[str, list[str]]()
    for number, problem in enumerate(plan.problems, 1):
        seconds = cases.case_s(problem, plan.settings) * plan.settings.processes
        for at, contender in enumerate(plan.contenders):
            needed = cases.case_bytes(problem, plan.settings.passes, contender)
            heading = (str(number), problem.label) if at == 0 else ("", "")
            reason = refused.get(Case(problem=problem, contender=contender), "")
            if not reason and free is not None and needed * plan.worker_count > free:
                reason = f"needs more than the {free / 1e9:.1f} GB of memory that are available"
            if reason:
                skipped.setdefault(reason, []).append(contender.name)
            else:
                total_s += seconds
            table.add_row(*heading, contender.name, f"{needed / 1e6:.0f}", "skipped" if reason else f"{seconds:.0f}")
    console.print(table)
    for reason, names in skipped.items():
        text = f"{plural(len(names), 'case')} skipped, {listed([*dict.fromkeys(names)])}: {reason}"
        console.print(one_line(text), markup=False, highlight=False)
    count = len(plan.problems) * len(plan.contenders) - sum(map(len, skipped.values()))
    time = f"{total_s:.0f} s" if total_s < 100 else f"{total_s / 60:.0f} minutes"
    console.print(f"{count} cases, about {time}; results would go to {plan.out}", markup=False)
    return 0
