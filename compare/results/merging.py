"""``merge``: the results of several runs of one study, most often the shards of a sweep, in one file and one report.

Rows are compared with one another, so the runs must have had the same settings, device, versions and environment;
those of clusters the same settings, for there rows are compared within a kind of machine alone.
Merging twice, or what was merged before, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from compare.results import machines, store
from compare.schema.records import Problem, Row, Run, Source

# How long was sampled and what else was looked at, which changes how well a time is known, but not the time.
EFFORT = frozenset({"budget_s", "samples", "timeout_s", "dispatch", "passes"})

Found = tuple[Path, Run, list[Row]]


def whole(paths: Sequence[Path]) -> list[Found]:
    """All files.  Raises ValueError where one is damaged."""
    return [(path, *store.lines(results_file(path))) for path in paths]


def merged(files: Sequence[Found], command: str, may_differ: Collection[str] = frozenset()) -> tuple[Run, list[Row]]:
    """One run record, and the rows of all processes, each once, by the sizes of their problems.

    Raises ValueError where they do not belong together.
    """
    check_circumstances([(path, run) for path, run, _ in files], may_differ)
    check_problems(files)
    rows = {(row.problem, row.contender, row.process): row for _, _, found in files for row in found}
    ordered = sorted(rows.values(), key=lambda row: msgspec.structs.astuple(row.problem))
    return joined([run for _, run, _ in files], command), ordered


def check_circumstances(runs: Sequence[tuple[Path, Run]], may_differ: Collection[str] = frozenset()) -> None:
    """Refuse runs of other circumstances than any run before them."""
    known: dict[str, tuple[Path, Any]] = {}
    for path, run in runs:
        own = {name: value for name, value in circumstances(run) if name not in may_differ}
        for name, value in own.items():
            first, before = known.setdefault(name, (path, value))
            if before != value:
                raise ValueError(f"{path} is not comparable with {first}: {name} is {value}, not {before}")


def check_problems(files: Sequence[Found]) -> None:
    """Refuse a problem of which two files hold different parts: its contenders never took turns."""
    held: dict[Problem, list[tuple[Path, list[Row]]]] = {}
    for path, _, rows in files:
        own: dict[Problem, list[Row]] = {}
        for row in rows:
            own.setdefault(row.problem, []).append(row)
        for problem, found in own.items():
            held.setdefault(problem, []).append((path, found))
    for problem, parts in held.items():
        whole_path, whole = max(parts, key=lambda part: len(part[1]))
        for path, found in parts:
            if any(row not in whole for row in found):
                raise ValueError(
                    f"{path} and {whole_path} both measured {problem.label}, in separate runs: contenders are compared "
                    "only within one run; leave one of the two out"
                )


def results_file(path: Path) -> Path:
    """The results file of a folder, or the file itself.  Raises ValueError where there is none."""
    file = path / store.RESULTS if path.is_dir() else path
    if ((path / store.LONGEST).is_file() and path.is_dir()) or path.name == store.LONGEST:
        raise ValueError(
            f"{path} holds --max-seq-len results only; give it to `select`, together with measured results"
        )
    if not file.is_file():
        raise ValueError(f"{path}: expected a folder with {store.RESULTS}, or that file; found none")
    return file


def joined(runs: Sequence[Run], command: str) -> Run:
    """The record of all runs: their backends and rates, those of the first where several have them."""
    sources = tuple(dict.fromkeys(source for run in runs for source in sources_of(run)))
    backends = {each.backend: each for run in reversed(runs) for each in reversed(run.backends)}
    measured = [each for run in reversed(runs) for each in reversed(run.rates)]
    rates = {(each.backend, each.dtype, each.matmul_precision): each for each in measured}
    known = [each for run in reversed(runs) for each in run.links]
    links = {(each.backend, each.devices): each for each in sorted(known, key=lambda each: each.bytes_per_s or 0.0)}
    nodes = {each.name: each for run in reversed(runs) for each in reversed(run.nodes)}
    planned = [source.planned_cases for source in sources]
    return replace(
        runs[0],
        date=min(source.date for source in sources),
        command=command,
        backends=tuple(reversed(backends.values())),
        rates=tuple(reversed(rates.values())),
        links=tuple(links.values()),
        planned_cases=None if None in planned else sum(filter(None, planned)),
        sources=sources,
        nodes=tuple(reversed(nodes.values())),
    )


def sources_of(run: Run) -> tuple[Source, ...]:
    """The runs that one stands for: those that it was merged from, or itself."""
    return run.sources or (Source(command=run.command, date=run.date, planned_cases=run.planned_cases),)


def circumstances(run: Run) -> Iterator[tuple[str, Any]]:
    """All that changes results, by name.  A backend that did not take part says nothing."""
    yield "schema version", run.schema_version
    yield "program version", run.program_version
    yield "code", run.code
    yield from msgspec.structs.asdict(run.settings).items()
    yield "measured on", "nodes of a cluster" if run.nodes else "one machine"
    for node in run.nodes:
        yield from ((f"{name} of {node.name}", value) for name, value in machines.facts(machines.on(run, node)))
    if not run.nodes:
        yield from machines.facts(run)
