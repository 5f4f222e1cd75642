"""``select``: the results of one or several runs, what a job calls, and what shall be short -> a page that decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from compare.analysis import mix, recommend
from compare.analysis.mix import Goal
from compare.analysis.recommend import Job, choices
from compare.analysis.sections import Section
from compare.measure import search
from compare.results import machines, merging, processes
from compare.schema.records import Run

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
        sections += recommend.sections(found, rows, run, reaches(list(searches.values()), beside))
    return sections


def search_file(path: Path) -> Path | None:
    """The file of a search for the longest sequence: the path itself, or what its folder holds."""
    file = path / search.RECORDS if path.is_dir() else path
    return file if file.name == search.RECORDS and file.is_file() else None


def reaches(files: Sequence[Path], beside: tuple[Path, Run]) -> list[search.Reach]:
    """The longest sequences, found on the same device with the same versions."""
    found = [(file, *search.read(file)) for file in files]
    for file, run, _ in found:
        merging.check_circumstances([beside, (file, run)], UNUSED)
    return [each for _, _, answers in found for each in answers]
