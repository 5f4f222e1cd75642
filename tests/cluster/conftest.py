"""A real Ray cluster on this machine: a head that takes no work, and two nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.cluster import hooks
from tests.faults.test_processes import until
from tests.run_fake import MARK, marked, register


@pytest.fixture(scope="package")
def marks() -> Iterator[Path]:
    """A folder that the nodes know by their environment: for marker files, and for their temporary ones.

    With a short path, for Ray has its sockets there.
    """
    with TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def cluster(marks: Path) -> Iterator[Any]:
    """The cluster, of which nothing may be left."""
    mark = uuid.uuid4().hex
    with hooks.started(2, FAKE_MARKS=str(marks), TMPDIR=str(marks), **{MARK: mark}) as found:
        yield found
    until(lambda: not marked(mark), "no process of the cluster is left")


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes for frameworks, here and on the nodes."""
    register(monkeypatch)
    for name, value in hooks.variables("fakes").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def on(cluster: Any, *more: str) -> list[str]:
    """The options of a sweep there."""
    return ["--executor", "ray", "--address", cluster.address, *more]
