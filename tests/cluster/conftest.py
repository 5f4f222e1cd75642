"""A real Ray cluster on this machine: a head that takes no work, and nodes as the tests ask for them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from compare.results import RESULTS
from tests.faults.test_processes import until
from tests.run_fake import MARK, marked, register

ROOT = Path(__file__).resolve().parents[2]
HOOK = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # how Ray is told of a hook from outside of the program
Started = Callable[..., Any]


def hook(name: str) -> str:
    """The value of HOOK for a function of tests.cluster.hooks."""
    return json.dumps({"runtime_env": {"worker_process_setup_hook": f"tests.cluster.hooks.{name}"}})


@pytest.fixture(scope="session")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nodes know of these tests stands in their environment: a folder for marker files, and a mark."""
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="session")
def cluster(marks: Path) -> Iterator[Cluster]:
    """A cluster with two nodes of two CPUs and a GPU that is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("FAKE_MARKS", str(marks))
        patch.setenv("TMPDIR", str(marks))
        patch.setenv(MARK, uuid.uuid4().hex)
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            found.add_node(num_cpus=2, num_gpus=1)
        mark = os.environ[MARK]
        yield found
        found.shutdown()
    until(lambda: not marked(mark), "no process of the cluster is left")


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes for frameworks, here and on the nodes."""
    register(monkeypatch)
    monkeypatch.setenv(HOOK, hook("fakes"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def on(cluster: Cluster, *more: str) -> list[str]:
    """The options of a sweep there."""
    return ["--executor", "ray", "--address", cluster.address, *more]


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The results file as it stands."""
    return [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]
