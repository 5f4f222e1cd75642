"""Sums of phases that lie inside each other."""

from __future__ import annotations

import pytest

from compare.worker import pacing


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    at = [0]
    monkeypatch.setattr(pacing, "perf_counter_ns", lambda: at[0])
    return at


def test_a_moment_counts_once_however_many_report_it(now: list[int]) -> None:
    phases = pacing.Phases()
    for end_s, duration_s in ((2, 1), (4, 1), (5, 5), (7, 1)):  # 1..2 and 3..4 lie inside 0..5
        now[0] = end_s * 10**9
        phases.ended("trace", duration_s)
    assert phases.total_s("trace") == 6


def test_a_program_compiled_while_another_is_traced_is_no_tracing(now: list[int]) -> None:
    phases = pacing.Phases()
    for phase, end_s, duration_s in (("trace", 3, 1), ("compile", 7, 4), ("trace", 9, 8), ("compile", 12, 3)):
        now[0] = end_s * 10**9
        phases.ended(phase, duration_s)
    assert phases.total_s("compile") == 7
    assert phases.total_s("trace", without="compile") == 4
    assert phases.total_s("unheard of") == 0
