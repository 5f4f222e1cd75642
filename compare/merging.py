"""``merge``: the results of several runs of one study, most often the shards of a sweep, in one file and one report.

Rows are compared with one another, so the runs must have had the same settings, device, versions and environment.
Merging twice, or what was merged before, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from compare import results
from compare.circumstances import Run, Source
from compare.records import Row

# Which device of its kind a job was given changes no result.
PLACES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
UNCOMPARED = ("import_s", "start_s", "missing_modes")
MACHINE = ("processor", "cores")


def merged(paths: Sequence[Path], command: str) -> tuple[Run, list[Row]]:
    """One run record, and the rows of all processes, each once, by the sizes of their problems.

    Raises ValueError where they do not belong together.
    """
    files = [(path, *results.lines(results_file(path))) for path in paths]
    first_path, first, _ = files[0]
    for path, run, _ in files[1:]:
        if difference := next(differences(first, run), None):
            raise ValueError(f"{path} is not of the same study as {first_path}: {difference}")
    rows: dict[tuple[object, ...], tuple[Path, Row]] = {}
    for path, _, found in files:
        for row in found:
            known_path, known = rows.setdefault((row.problem, row.contender, row.process), (path, row))
            if known != row:
                case = f"{row.contender.name} at {row.problem.label}"
                raise ValueError(f"{path} and {known_path} both measured {case}, with other outcomes; leave one out")
    found = sorted((row for _, row in rows.values()), key=lambda row: msgspec.structs.astuple(row.problem))
    return joined([run for _, run, _ in files], command), found


def results_file(path: Path) -> Path:
    """The results file of a folder, or the file itself.  Raises ValueError where there is none."""
    file = path / results.RESULTS if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{path}: expected a folder with {results.RESULTS}, or such a file; there is none")
    return file


def joined(runs: Sequence[Run], command: str) -> Run:
    """The record of all runs: their backends and rates, those of the first where several have them."""
    sources = tuple(dict.fromkeys(source for run in runs for source in sources_of(run)))
    backends = {each.backend: each for run in reversed(runs) for each in reversed(run.backends)}
    rates = {(each.backend, each.dtype, each.matmul_precision): each for run in reversed(runs) for each in run.rates}
    planned = [source.planned_cases for source in sources]
    return replace(
        runs[0],
        date=min(source.date for source in sources),
        command=command,
        backends=tuple(reversed(backends.values())),
        rates=tuple(reversed(rates.values())),
        planned_cases=None if None in planned else sum(filter(None, planned)),
        sources=sources,
    )


def sources_of(run: Run) -> tuple[Source, ...]:
    """The runs that one stands for: those that it was merged from, or itself."""
    return run.sources or (Source(command=run.command, date=run.date, planned_cases=run.planned_cases),)


def differences(one: Run, other: Run) -> Iterator[str]:
    """What keeps two runs from being compared, as words."""
    known, found = dict(circumstances(one)), dict(circumstances(other))
    for name in known | found:
        absent = name not in known or name not in found
        if absent and name.startswith("backend "):  # it did not take part, or the run ended before it had started
            continue
        if absent or known[name] != found[name]:
            yield f"{name} is {found.get(name, 'not set')}, and {known.get(name, 'not set')} there"


def circumstances(run: Run) -> Iterator[tuple[str, Any]]:
    """All that changes results, by name."""
    yield "schema version", run.schema_version
    yield "program version", run.program_version
    yield from msgspec.structs.asdict(run.settings).items()
    if run.settings.device == "cpu":
        yield from ((f"host {name}", run.host.get(name)) for name in MACHINE)
    for report in run.backends:
        for name, value in msgspec.structs.asdict(report).items():
            if name not in UNCOMPARED:
                yield f"backend {report.backend} {name}", value
    for by, variables in run.environment.items():
        yield from ((f"{by} {name}", value) for name, value in variables.items() if name not in PLACES)
