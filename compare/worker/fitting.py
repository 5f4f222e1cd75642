"""Inside the worker: does one iteration of a pass fit the device?"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from compare.worker import composing
from compare.worker.messages import Fit, Fitted
from compare.worker.resident import data_bytes

if TYPE_CHECKING:
    from compare.worker.measuring import Session


def fit(session: Session, request: Fit) -> Fitted:
    """Run it once, on zeros: nothing is timed, and drawing numbers would take longer than all else."""
    session.forget()
    problem, contender = request.case.problem, request.case.contender
    with at_most(request.most_bytes):
        zeros = (np.zeros(shape, np.float32) for shape in shapes(request))
        inputs = tuple(session.adapter.put(each, problem.dtype) for each in zeros)
        attention = composing.find(session.package, contender).attention
        whole = composing.composed(attention, session.package, problem)
        programs = session.adapter.programs(whole, contender.mode, inputs, problem.matmul_precision)
        session.run(programs, request.pass_name)
    del programs, inputs
    session.forget()
    return Fitted()


def shapes(request: Fit) -> Iterator[tuple[int, ...]]:
    """Of q, k, v and dO, in the problem's layout."""
    problem = request.case.problem
    for b, t, n, h in (problem.q_shape, problem.kv_shape, problem.kv_shape, problem.q_shape):
        yield (b, t, n, h) if problem.layout == "btnh" else (b, n, t, h)


@contextmanager
def at_most(size_bytes: int | None) -> Iterator[None]:
    """Refuse this process allocations beyond so many bytes more than it holds, as a full machine would."""
    held = data_bytes()
    if size_bytes is None or held is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
