"""Whether two runs can be held against each other, and what differs between them.

Versions of frameworks, driver, libraries and this program may differ: what they change is the question.  So may how
long was sampled.  Anything else would be mistaken for their doing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from compare.circumstances import Run
from compare.files.merging import EFFORT, circumstances

VERSIONS = re.compile(
    r"schema version|program version|code|host (python|system|libc)|\S+ versions|variable \w*VERSION\w*"
)
SURENESS = EFFORT | {"processes", "same_within"}


class Difference(msgspec.Struct, frozen=True):
    """One thing that two runs do not share; None: one of them does not have it."""

    name: str
    old: Any
    new: Any

    @property
    def may_be(self) -> bool:
        """Whether it is a version, where one lies, or how much was sampled."""
        places = all(value is None or str(value).startswith("/") for value in (self.old, self.new))
        variable = self.name.startswith("variable ")
        return bool(VERSIONS.fullmatch(self.name)) or self.name in SURENESS or (variable and places)

    @property
    def words(self) -> str:
        """From old to new."""
        return f"{self.name}: {_said(self.old)} -> {_said(self.new)}"


def differences(old: Run, new: Run) -> list[Difference]:
    """What differs; of a backend that only one of them had nothing."""
    before, after = facts(old), facts(new)
    names = [name for name in before | after if (name in before and name in after) or name.startswith("variable ")]
    return [Difference(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def check(old: tuple[Path, Run], new: tuple[Path, Run]) -> list[Difference]:
    """What differs and may.  Raises ValueError with what may not."""
    found = differences(old[1], new[1])
    told = "; ".join(each.words for each in found if not each.may_be)
    if told:
        raise ValueError(f"{new[0]} cannot be held against {old[0]}, as more than versions differs: {told}")
    return found


def facts(run: Run) -> dict[str, Any]:
    """All that changes results, and the versions of what lies below, by name."""
    found = dict(circumstances(replace(run, nodes=())))
    variables = found.pop("environment variables")
    host = {f"host {name}": run.host.get(name) for name in ("system", "libc")}
    return found | host | {f"variable {name}": value for name, value in variables.items()}


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "none" if value in (None, "") else str(value)
