"""What happens on a node of a cluster: one problem, measured by the runner as on one machine, and delivered whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from compare.machine import environment
from compare.measure import rates as rating
from compare.measure.runner import Runner, failed_logs
from compare.plan.cases import Plan
from compare.schema.records import DeviceReport, Node, Problem, Record, Row

LOG_BYTES = 2**16  # of the end of a log


class Delivered(Record, frozen=True):
    """All that a task found: where, its rows, and the ends of the logs where a case failed."""

    node: Node
    rows: tuple[Row, ...] = ()
    logs: dict[str, bytes] = msgspec.field(default_factory=dict)


class OtherCode(Exception):
    """The node has another version of this program, or of the user's own functions."""


class Keeper:
    """Listens to a runner and keeps what it says until the problem is done."""

    def __init__(self) -> None:
        self.reports: dict[str, DeviceReport] = {}
        self.rows: list[Row] = []

    def started(self, report: DeviceReport) -> None:
        """A backend is up; what it says the first time counts."""
        self.reports.setdefault(report.backend, report)

    def stage(self, problem: Problem, text: str) -> None:
        """Nobody watches."""

    def recorded(self, row: Row) -> None:
        """A case is done in one process."""
        self.rows.append(row)

    def finished(self, problem: Problem, process: int) -> None:
        """All rows are kept anyway."""


def measured(plan: Plan, code: str, name: str) -> Delivered:
    """The plan's problems on this node.  Raises OtherCode."""
    with workplace(plan, code) as folder:
        keeper = Keeper()
        Runner(plan, folder, keeper).run()
        logs = {name: log.read_bytes()[-LOG_BYTES:] for name, log in failed_logs(folder, keeper.rows)}
    rows = tuple(replace(row, node=name, device_name=device_of(row, keeper.reports)) for row in keeper.rows)
    return Delivered(node=replace(described(name), backends=tuple(keeper.reports.values())), rows=rows, logs=logs)


def rated(plan: Plan, code: str, name: str) -> Delivered:
    """How fast this node's device is, and its links.  Raises OtherCode."""
    with workplace(plan, code) as folder:
        rates = tuple(rate for rates in rating.rated(plan, folder) for rate in rates)
        links = tuple(rating.linked(plan, folder))
    return Delivered(node=replace(described(name), rates=rates, links=links))


@contextmanager
def workplace(plan: Plan, code: str) -> Iterator[Path]:
    """A folder for the time being, where the program is the one that sent the plan."""
    own = environment.code(contender.variant for contender in plan.contenders)
    if own != code:
        raise OtherCode(f"the program's source on this node ({own}) differs from where the run started ({code})")
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        yield Path(folder)


def described(name: str) -> Node:
    """This node as far as no backend must run for it."""
    return Node(name=name, host=environment.host(), inherited=environment.relevant(os.environ))


def device_of(row: Row, reports: dict[str, DeviceReport]) -> str:
    """The device as the row's backend names it, or another one where that never started."""
    report = reports.get(row.contender.home) or next(iter(reports.values()), None)
    return report.device_name if report else ""
