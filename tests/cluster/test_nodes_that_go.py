"""Nodes that vanish without a word, and what no node can take any more: a sweep ends all the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from compare.measure import ray_link, ray_sweep
from compare.measure.ray_link import Need, Place
from compare.plan.cases import Plan
from compare.schema.records import Failure, Row, Skip
from tests import samples

A, B = Place("a", "node-a", 2, 0), Place("b", "node-b", 2, 0)
PLAN = Plan(
    settings=samples.run().settings,
    problems=(samples.problem(8), samples.problem(16)),
    contenders=(samples.JAX, samples.EAGER),
    out=Path("nowhere"),
    command="",
    cluster_cpus=2,
)


class Silent:
    """A task that says where it runs, and nothing more."""

    made: list[Silent]

    def __init__(self, work: Any, need: Need, cpus: int, where: Place | None = None) -> None:
        self.need, self.rates, self.cancelled = need, where is not None, False
        self.made.append(self)

    def news(self) -> str:
        return "node-a"

    def cancel(self) -> None:
        self.cancelled = True


class Listening:
    """A study that keeps what it is told."""

    run = samples.run()

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.said: list[str] = []

    def recorded(self, row: Row) -> None:
        self.rows.append(row)

    def stage(self, _: object, text: str) -> None:
        self.said.append(text)

    def finished(self, *_: object) -> None: ...

    def say(self, _: str) -> None: ...


def swept(monkeypatch: pytest.MonkeyPatch, seen: Sequence[Sequence[Place]], begun: bool) -> Listening:
    """A sweep that sees these nodes, the last ones from then on, and whose tasks have begun or not."""
    Silent.made, coming, heard = [], list(seen), set[Any]()
    monkeypatch.setattr(ray_sweep, "Task", Silent)
    monkeypatch.setattr(ray_link, "places", lambda: coming.pop(0) if len(coming) > 1 else coming[0])
    monkeypatch.setattr(ray_link, "cancel", lambda tasks: None)
    monkeypatch.setattr(ray_link, "leave", lambda: None)

    def wait(tasks: Sequence[Any]) -> list[Any]:
        new = [each for each in tasks if begun and each not in heard]
        heard.update(new)
        return new

    monkeypatch.setattr(ray_link, "wait", wait)
    study = Listening()
    ray_sweep.Sweep(PLAN, study, "").run()  # type: ignore[arg-type]
    return study


def test_tasks_of_a_vanished_node_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    study = swept(monkeypatch, [[A], [B]], begun=True)
    assert sum("retrying" in text for text in study.said) == len(PLAN.problems)
    assert [task.rates for task in Silent.made].count(False) == 2 * len(PLAN.problems)
    assert all(task.cancelled for task in Silent.made)
    assert len(study.rows) == 4
    assert {(row.problem, row.contender) for row in study.rows} == set(product(PLAN.problems, PLAN.contenders))
    for row in study.rows:
        assert isinstance(row, Failure)
        assert (row.status, row.reason, row.node) == ("CRASH", "lost 2 times: its node is gone", "node-a")


def test_when_no_node_is_left_problems_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    study = swept(monkeypatch, [[A], []], begun=False)
    assert len(study.rows) == 4
    assert {type(row) for row in study.rows} == {Failure}
    assert {row.reason for row in study.rows if isinstance(row, Failure)} == {
        "no remaining node has 2 CPUs; lost: node-a"
    }
    assert all(task.cancelled for task in Silent.made)


def test_what_no_node_ever_had_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    study = swept(monkeypatch, [[Place("c", "node-c", 1, 0)]], begun=False)
    assert [(type(row), row.reason) for row in study.rows if isinstance(row, Skip)] == [
        (Skip, "no node has 2 CPUs")
    ] * 4
    assert not Silent.made
