"""A sweep over the nodes of a cluster: a task for each problem, whose rows are written when it is done.

A problem's rows come from one node and all at once, so that its contenders are always comparable.  A task that is lost
with its node is tried once more, from its beginning; one that is lost again becomes rows with the reason.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from compare.measure import ray_link, ray_node, runner
from compare.measure.ray_link import Broken, Lost, Need, Place, Task
from compare.measure.ray_node import Delivered
from compare.measure.workers import undisturbed
from compare.plan.cases import Plan
from compare.schema.records import Failure, FailureStatus, Node, Problem, Row, Skip

MOST_TRIES = 2
MOST_WAITING = 256  # tasks that Ray holds and no node has begun; the rest of a long sweep costs no memory there


class Listener(runner.Listener, Protocol):
    """Receives the events of a sweep."""

    def say(self, text: str) -> None:
        """Progress, shown only on a terminal."""

    def placed(self, found: Node) -> None:
        """New metadata of a node."""


class Sweep:
    """One sweep of a plan; ``code``: the digest of this program, which every node must run too."""

    def __init__(self, plan: Plan, study: Listener, code: str) -> None:
        self._plan, self._study, self._code = plan, study, code
        self._cpus = plan.cluster_cpus or 1
        self._waiting = deque(plan.problems)
        self._problems: dict[Task, Problem] = {}
        self._where: dict[Task, str] = {}
        self._rating: list[Task] = []
        self._places: dict[str, Place] = {}  # all that were ever seen
        self._alive: Sequence[Place] = ()
        self._tries: Counter[Problem] = Counter()
        self._done = self._lost = 0

    def run(self) -> None:
        """Until every problem has its rows; tasks and the link to the cluster end however this ends."""
        try:
            while self._waiting or self._problems or self._rating:
                self._look_around()
                self._submit()
                for task in ray_link.wait([*self._rating, *self._problems]):
                    self._hear(task)
                self._study.say(self.state())
        finally:
            with undisturbed():
                ray_link.cancel([*self._rating, *self._problems])
                ray_link.leave()

    def state(self) -> str:
        """The cluster and the sweep in one line."""
        running = sum(task in self._where for task in self._problems)
        return f"{ray_link.words(self._alive, self._need(1))}; {running} running, {self._done} done, {self._lost} lost"

    def _look_around(self) -> None:
        """Rate new nodes, retry tasks of lost nodes, give up problems that no node can run."""
        self._alive = ray_link.places()
        for place in self._alive:
            if place.id not in self._places:
                self._places[place.id] = place
                self._rate(place)
        names = {place.name for place in self._alive}
        for task in [each for each, where in self._where.items() if where not in names]:
            task.cancel()  # Ray may learn of it by the end of a connection only, which a vanished machine does not send
            self._lose(task, "its node is gone")
        for task in [each for each in self._problems if each not in self._where and not self._has_place(each.need)]:
            task.cancel()
            self._give_up(self._problems.pop(task))

    def _rate(self, place: Place) -> None:
        need = self._need(1)
        if ray_link.fits(place, need):
            work = partial(ray_node.rated, self._plan_of(), self._code)
            self._rating.append(Task(work, need, self._cpus, place))
            self._where[self._rating[-1]] = place.name

    def _plan_of(self, *problems: Problem) -> Plan:
        """The plan of a node; startup costs with warm caches are measured once in a sweep."""
        first = problems == self._plan.problems[:1]
        return replace(self._plan, problems=problems or self._plan.problems, warm_costs=first)

    def _submit(self) -> None:
        while self._waiting and sum(task not in self._where for task in self._problems) < MOST_WAITING:
            problem = self._waiting.popleft()
            need = self._need(problem.devices)
            if self._has_place(need):
                self._tries[problem] += 1
                work = partial(ray_node.measured, self._plan_of(problem), self._code)
                self._problems[Task(work, need, self._cpus)] = problem
            else:
                self._give_up(problem)

    def _need(self, devices: int) -> Need:
        return ray_link.need(self._plan.settings.device, devices, self._cpus)

    def _has_place(self, need: Need) -> bool:
        return any(ray_link.fits(place, need) for place in self._alive)

    def _hear(self, task: Task) -> None:
        """News of a task."""
        try:
            news = task.news()
        except Lost as error:
            self._lose(task, str(error))
        except Broken as error:
            self._end(task, "ERROR", str(error))
        else:
            if isinstance(news, Delivered):
                self._deliver(task, news)
            else:
                self._where[task] = news

    def _deliver(self, task: Task, found: Delivered) -> None:
        self._study.placed(found.node)
        where, problem = self._forget(task)
        if problem:
            for name, log in found.logs.items():
                (self._plan.out / f"problem-{self._plan.problems.index(problem) + 1}-{name}").write_bytes(log)
            self._record(problem, found.rows, f"done on {where}")

    def _record(self, problem: Problem, rows: Sequence[Row], said: str) -> None:
        self._done += 1
        for row in rows:
            self._study.recorded(row)
        self._study.stage(problem, f"{said}; {self.state()}")
        for process in range(1, self._plan.settings.processes + 1):
            self._study.finished(problem, process)

    def _forget(self, task: Task) -> tuple[str, Problem | None]:
        if task in self._rating:
            self._rating.remove(task)
        return self._where.pop(task, ""), self._problems.pop(task, None)

    def _lose(self, task: Task, reason: str) -> None:
        problem = self._problems.get(task)
        if problem and self._tries[problem] < MOST_TRIES:
            where, _ = self._forget(task)
            self._lost += 1
            self._waiting.appendleft(problem)
            self._study.stage(problem, f"lost with {where or 'a node'}; retrying; {self.state()}")
            return
        self._lost += bool(problem)
        self._end(task, "CRASH", f"lost {MOST_TRIES} times: {reason}")

    def _end(self, task: Task, status: FailureStatus, reason: str) -> None:
        """A task without rows: its problem's contenders fail; a node without rates has none."""
        where, problem = self._forget(task)
        if problem:
            rows = [
                Failure(problem=problem, contender=each, status=status, stage="node", reason=reason, node=where)
                for each in self._plan.contenders
            ]
            self._record(problem, rows, f"failed on {where or 'no node'}")

    def _give_up(self, problem: Problem) -> None:
        """No node can take the problem: it is skipped, or failed where one that could is gone."""
        need = self._need(problem.devices)
        could = [place.name for place in self._places.values() if ray_link.fits(place, need)]
        asked = f"{need.gpus} GPUs and {need.cpus} CPUs" if need.gpus else f"{need.cpus} CPUs"
        rows: list[Row] = []
        for each in self._plan.contenders:
            if could:
                reason = f"no remaining node has {asked}; lost: {', '.join(could[:3])}"
                rows.append(Failure(problem=problem, contender=each, status="CRASH", stage="node", reason=reason))
            else:
                rows.append(Skip(problem=problem, contender=each, reason=f"no node has {asked}"))
        self._record(problem, rows, "no node can run it")
