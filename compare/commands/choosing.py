"""``select``: the results of one or several runs, what a job calls, and what shall be short -> a page that decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from compare.choice import mix
from compare.choice.goals import Goal
from compare.choice.selection import Job, choices
from compare.circumstances import Run
from compare.files import machines, merging
from compare.findings import processes
from compare.report import selection_page
from compare.report.headed import Section
from compare.run import reach

UNUSED = merging.EFFORT | {"processes", "same_within", "cache", "seed"}  # no part of a search for the longest sequence


def page(paths: Sequence[Path], calls: Sequence[mix.Calls], goal: Goal, limit_bytes: int | None) -> list[Section]:
    """The sections.  Raises ValueError where results cannot be read or do not belong together."""
    searches = {path: file for path in paths if (file := search_file(path))}
    measured = [path for path in paths if path not in searches]
    if not measured:
        raise ValueError(f"{paths[0]}: the longest sequences say nothing of time and memory; give measured results too")
    sections: list[Section] = []
    for run, parts in machines.parts(*merging.merged(merging.whole(measured), "", merging.EFFORT)):
        rows = processes.joined(parts)
        weights = mix.mixed((row.problem for row in rows), calls)
        found = choices(rows, Job(weights, goal, run.settings, limit_bytes))
        beside = measured[0], replace(run, nodes=())
        sections += selection_page.sections(found, rows, run, reaches(list(searches.values()), beside))
    return sections


def search_file(path: Path) -> Path | None:
    """The file of a search for the longest sequence: the path itself, or what its folder holds."""
    file = path / reach.RECORDS if path.is_dir() else path
    return file if file.name == reach.RECORDS and file.is_file() else None


def reaches(files: Sequence[Path], beside: tuple[Path, Run]) -> list[reach.Reach]:
    """The longest sequences, found on the same device with the same versions."""
    found = [(file, *reach.read(file)) for file in files]
    for file, run, _ in found:
        merging.check_circumstances([beside, (file, run)], UNUSED)
    return [each for _, _, answers in found for each in answers]
