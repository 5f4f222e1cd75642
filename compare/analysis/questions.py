"""The questions that a report answers: the modules of this room that have a place in it (``ORDER``), one file each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

from compare.analysis.sections import Section
from compare.schema.records import Row, Run


class Question(Protocol):
    """A module that words its finding as Sections; ``ORDER`` is its place in a report."""

    ORDER: int

    def sections(self, run: Run, rows: Sequence[Row]) -> list[Section]:
        """What it found; a section that has nothing to say is empty."""


@cache
def questions() -> list[Question]:
    """All of them, in the order of a report."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path != Path(__file__))
    modules = [import_module(f"compare.analysis.{name}") for name in names]
    return sorted((module for module in modules if hasattr(module, "ORDER")), key=lambda module: module.ORDER)
