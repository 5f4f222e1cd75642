"""The doctor passes what is sound, fails what is not, and does not count what cannot apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from compare.backends import BACKENDS
from compare.cli import doctor, main
from compare.profile.timeline import Span, Trace
from compare.worker import known_work
from compare.worker.protocol import Finding
from compare.worker.session import Session
from tests import run_fake

SMALL = 2**16


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(known_work, "STREAM_BYTES", {"cpu": SMALL, "gpu": SMALL})
    monkeypatch.setattr(known_work, "MATMUL_SIZE", {"cpu": 64, "gpu": 64})
    return Session("tests.fake_attn", "cpu", 1)


def results(session: Session) -> dict[str, Finding]:
    return {each.check: each for each in known_work.findings(session)}


def test_a_sound_framework_passes_everything(session: Session) -> None:
    found = results(session)
    assert {name: each.result for name, each in found.items()} == dict.fromkeys(found, "pass")
    assert found.keys() == {
        "device events",
        "memory events",
        "known bytes",
        "known FLOPs",
        "ieee products",
        "default products",
    }


@contextmanager
def altered(session: Session, change: object) -> Iterator[None]:
    """The profiler with its traces changed."""
    trace = session.profiler.trace

    @contextmanager
    def changed(memory: bool = False) -> Iterator[list[Trace]]:
        with trace(memory=memory) as found:
            shown: list[Trace] = []
            yield shown
        shown.append(change(found[0]))  # type: ignore[operator]

    session.profiler.trace = changed
    try:
        yield
    finally:
        session.profiler.trace = trace


def test_a_profiler_that_sees_no_work_fails(session: Session) -> None:
    with altered(session, lambda trace: trace._replace(work=[])):
        found = results(session)
    assert found["device events"].result == "fail"
    assert "saw no device work" in found["device events"].text
    assert found["memory events"].result == "pass"


def test_a_profiler_that_loses_half_of_the_time_fails(session: Session) -> None:
    def halved(trace: Trace) -> Trace:
        return trace._replace(
            work=[Span(each.name, each.start_ns, (each.start_ns + each.end_ns) // 2) for each in trace.work]
        )

    with altered(session, halved):
        assert results(session)["known bytes"].result == "fail"


def test_a_profiler_whose_times_do_not_grow_with_the_work_fails(session: Session) -> None:
    def constant(trace: Trace) -> Trace:
        return trace._replace(work=[Span(each.name, each.start_ns, each.start_ns + 10) for each in trace.work])

    with altered(session, constant):
        assert results(session)["known FLOPs"].result == "fail"


def test_allocations_that_do_not_add_up_fail_and_none_at_all_is_not_applicable_on_a_cpu(session: Session) -> None:
    with altered(session, lambda trace: trace._replace(allocations=trace.allocations[:-1])):
        found = results(session)["memory events"]
    assert found.result == "not applicable"
    double = lambda trace: trace._replace(allocations=[*trace.allocations, *trace.allocations])  # noqa: E731
    with altered(session, double):
        assert results(session)["memory events"].result == "fail"


def test_products_that_are_not_ieee_fail_only_where_ieee_was_asked_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rough(a: np.ndarray, b: np.ndarray, _precision: str) -> np.ndarray:
        return a.astype(np.float16).astype(np.float32) @ b

    monkeypatch.setattr(session.adapter, "matmul", rough)
    assert known_work.products(session, "ieee").result == "fail"
    found = known_work.products(session, "default")
    assert found.result == "pass"
    assert "less than float32" in found.text


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_fake.register(monkeypatch)
    monkeypatch.setattr(doctor.devices, "has_gpu_node", lambda: False)
    assert main.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "this machine shows no GPU" in " ".join(out.split())
    assert "0 failed" in out


def test_a_framework_that_is_not_installed_is_no_failure_unless_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    run_fake.register(monkeypatch)
    for name in list(BACKENDS):
        monkeypatch.setitem(BACKENDS, name, run_fake.FAKE._replace(requires=("no_such_module",)))
    with Path("/dev/null").open("w") as nowhere:
        assert not doctor.examine(Console(file=nowhere))
    [line] = doctor.of_backend("fake")
    assert (line[2].check, line[2].result) == ("installed", "not applicable")
    assert "comes with the tests" in line[2].text


def test_a_worker_that_cannot_start_is_a_failure_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    run_fake.register(monkeypatch)
    monkeypatch.setitem(BACKENDS, "fake", run_fake.FAKE._replace(package="tests.no_such_package"))
    findings = list(doctor.on_device("fake", "cpu"))
    assert [each.result for each in findings] == ["fail"]
    assert "no_such_package" in findings[0].text
