"""A real Ray cluster on this machine, whose worker processes first put fakes in the place of the real backends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ray.cluster_utils import Cluster

from compare.backends import BACKENDS
from compare.measure import rates
from compare.measure.race import Race
from compare.measure.workers import Fleet
from compare.schema.records import Contender, Row
from tests import samples
from tests.run_fake import FAKES, no_rates

ROOT = Path(__file__).resolve().parents[2]
BUSY_S = 0.1
HOOK = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # how Ray is told of a hook from outside of the program


@contextmanager
def started(nodes: int, **more: str) -> Iterator[Any]:
    """A head that takes no work, and nodes of two CPUs and a GPU that is none; ``more`` variables for the nodes."""
    variables = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"} | more
    with patch.dict(os.environ, variables):
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            for _ in range(nodes):
                found.add_node(num_cpus=2, num_gpus=1)
            yield found
        finally:
            found.shutdown()


def variables(hook: str) -> dict[str, str]:
    """What the program must find in its environment, so that a function of this module runs first on the nodes."""
    return {HOOK: json.dumps({"runtime_env": {"worker_process_setup_hook": f"{__name__}.{hook}"}})}


def rated_fakes() -> None:
    """The fake backend."""
    BACKENDS.clear()
    BACKENDS.update(FAKES)


def fakes() -> None:
    """The fake backend, without rates."""
    rated_fakes()
    rates.rated = no_rates  # type: ignore[assignment]


def rows_from_nowhere() -> None:
    """Rows as large as real ones, without workers: a node measures a problem in no time."""
    fakes()
    Fleet.start = no_worker  # type: ignore[method-assign]
    Race.run = invented  # type: ignore[method-assign]


def no_worker(self: Fleet, contender: Contender) -> None:
    """A backend that is up at once."""
    if contender.backend not in self.reports:
        self.reports[contender.backend] = samples.device(contender.backend, {"numpy": "0"})
        self._started(self.reports[contender.backend])


def invented(self: Race, contenders: Sequence[Contender], fail: object) -> Iterator[Row]:
    """A row for each contender, after so long that a node is busy whenever it is killed."""
    time.sleep(BUSY_S)
    for contender in contenders:
        yield samples.measurement(self._problem, contender)
