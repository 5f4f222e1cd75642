"""Scheduling for pytest-xdist: tests that share a setup run on one worker, and the slowest groups start first."""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# So that no process is left with it at the end.
LONGEST_FIRST = (
    "tests/cluster",
    "tests/parallel/test_faults.py",
    "tests/parallel/test_variants.py",
    "tests/test_still_naive.py",
    "tests/test_real_workers.py",
    "tests/variants/test_conformance.py",
    "tests/faults/test_cases.py",
    "tests/pipeline/test_records.py",
    "tests/test_planted.py",
)
VARIANT = re.compile(r"\[(\w+:\w+)")


class Groups(LoadScopeScheduling):
    """Hands a group of tests at a time to a process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """The scheduler, whatever --dist says."""
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of all tests, which is that of the groups."""
    items.sort(key=lambda item: place(group(item.nodeid)))


def group(nodeid: str) -> str:
    """A file; the whole folder of the cluster, which has one; of the variants' suite each variant by itself."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/cluster/"):
        return "tests/cluster"
    variant = VARIANT.search(nodeid) if file.endswith("/test_conformance.py") else None
    return f"{file} {variant[1]}" if variant else file


def place(name: str) -> int:
    """Where a group stands among those that come first; all others keep their order behind them."""
    file = name.partition(" ")[0]
    return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)
