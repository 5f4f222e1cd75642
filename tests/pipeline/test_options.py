"""What --processes, --cache, --dispatch and the startup cost do to a whole run on the fakes."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import msgspec
import pytest

from compare.analysis.notices import worded
from compare.cli.main import main
from compare.measure.workers import Fleet
from compare.results import store
from compare.schema.records import Case, Contender
from compare.worker.pacing import SETTLE_S
from compare.worker.protocol import Begin, End, Ended, Failed, Recompile, Repeat, Reply, Request, Stream, Turn
from compare.worker.session import Session, Turns
from tests.fake_attn.device import DEVICE
from tests.run_fake import arguments, outcomes, row, rows_of, started_workers
from tests.samples import problem

NAIVE = Contender(backend="fake", variant="naive", mode="eager")


def test_a_failure_in_a_later_process_is_in_the_exit_code(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask, repeats = Fleet.ask, list[Request]()

    def fail_in_the_second(self: Fleet, contender: Contender, request: Request) -> Reply:
        repeats.extend([request] if isinstance(request, Repeat) else [])
        if isinstance(request, Repeat) and len(repeats) == 2:
            return Failed(status="CRASH", stage="repeat", reason="gone")
        return ask(self, contender, request)

    monkeypatch.setattr(Fleet, "ask", fail_in_the_second)
    assert main([*arguments(out, "fake:naive"), "--processes", "2"]) == 3
    found = row(out, "fake:naive:eager")
    assert [worded(notice) for notice in found.warnings if notice.code == "process-failed"] == [
        "process 2: CRASH in repeat: gone"
    ]
    assert "2; 1 of 1 row have samples of fewer" in " ".join(capsys.readouterr().out.split())


def test_everything_is_repeated_in_fresh_processes(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = started_workers(tmp_path, monkeypatch)
    words = [*arguments(out, "fake:naive", "fake2:slow", "fake2:oom", seq_lens=(8, 16)), "--processes", "3"]
    assert main(words) == 0
    assert len(list(started.iterdir())) == 3 * 2 + 2  # and one for each worker that ran out of memory
    lines = [msgspec.json.decode(line) for line in (out / store.RESULTS).read_bytes().splitlines()]
    measured = [line["process"] for line in lines if line["kind"] == "measurement"]
    assert measured == [1] * 4 + [2] * 4 + [3] * 4
    assert [line["process"] for line in lines if line["kind"] == "failure"] == [1, 1]  # not tried again
    slow = row(out, "fake2:slow:eager", 8)
    assert set(slow.passes["step"].repeats) == {2, 3}
    assert len([line for line in lines if line["kind"] == "run"]) == 3  # alone, and with each backend once
    text = capsys.readouterr().out
    assert text.count("fake2:slow:eager  ") == 2 * 2  # each problem's table while it runs, and all at the end
    assert "Over 3 processes, the lowest and the highest ratio differ by 0.0%" in text.replace("\n", " ").replace(
        "   ", " "
    )
    assert "Ratios by process" in (out / store.REPORT).read_text()


def prepared(cache: str) -> Session:
    session = Session("tests.fake_attn", "cpu", 1, cache)  # type: ignore[arg-type]
    session.programs_of(Case(problem=problem(8), contender=NAIVE))
    session.seconds_of(NAIVE).update({"forward": 1e-3, "backward": 2e-3, "step": 3e-3})
    return session


@pytest.mark.parametrize(("cache", "evictions"), [("warm", 0), ("cold", 3)])
def test_a_cold_cache_is_evicted_before_each_sample_and_outside_of_it(cache: str, evictions: int) -> None:
    session = prepared(cache)
    turns = Turns(session)
    turns.begin(Begin())
    turns.take(Turn(contender=NAIVE, pass_name="backward", count=3, round=0, profiled=True, after_other=False))
    names = [span.name for span in DEVICE._trace.work]
    assert names.count("double") == evictions
    if evictions:  # after the forward half of a backward, which would warm the cache up
        assert names[names.index("double") - 1] == "output"
    [seen] = turns.end(End(count={NAIVE.name: {"backward": 3}})).seen
    assert seen.refused == {}
    assert {kernel.name for kernel in seen.kernels} == {"probability gradients", "input gradients"}
    assert seen.device_s[0] == pytest.approx((2e-3,) * 3)


def test_a_warm_turn_starts_with_a_call_that_is_no_sample() -> None:
    session = prepared("warm")
    before = DEVICE.clock_ns
    turned = Turns(session).take(
        Turn(contender=NAIVE, pass_name="forward", count=2, round=0, profiled=False, after_other=False)
    )
    assert len(turned.wall_s) == 2
    assert DEVICE.clock_ns - before >= 3 * 1_000_000


@pytest.mark.parametrize(
    ("pass_s", "after_other", "calls"), [(1e-3, True, 10), (1e-3, False, 1), (1e-5, True, 20), (0.1, True, 0)]
)
def test_after_another_processs_turn_more_calls_are_no_samples(pass_s: float, after_other: bool, calls: int) -> None:
    session = prepared("warm")
    session.seconds_of(NAIVE)["forward"] = pass_s
    before, begin = DEVICE.clock_ns, perf_counter()
    turn = Turn(contender=NAIVE, pass_name="forward", count=2, round=0, profiled=False, after_other=after_other)
    assert len(Turns(session).take(turn).wall_s) == 2
    assert (DEVICE.clock_ns - before) // 1_000_000 == calls + 2
    assert calls or perf_counter() - begin > SETTLE_S["cpu"]


def test_rounds_of_which_the_profiler_saw_nothing_are_refused_with_a_reason() -> None:
    session = prepared("warm")
    turns = Turns(session)
    turns.begin(Begin())
    for at in range(2):
        turns.take(Turn(contender=NAIVE, pass_name="forward", count=2, round=at, profiled=True, after_other=False))
    DEVICE._trace.windows.clear()
    [seen] = turns.end(End(count={NAIVE.name: {"forward": 2}})).seen
    assert seen.device_s == {}
    assert seen.refused == dict.fromkeys(range(2), "forward: expected 2 windows in the trace, got 0")
    assert turns.end(End(count={})) == Ended(seen=())  # what it saw is told once


def test_a_profiler_that_was_never_opened_saw_nothing() -> None:
    assert Turns(prepared("warm")).end(End(count={})) == Ended(seen=())


def test_a_failure_to_close_one_profiler_leaves_no_other_open(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, failed = Fleet.ask, list[Request]()

    def fail_once(self: Fleet, contender: Contender, request: Request) -> Reply:
        reply = ask(self, contender, request)
        if isinstance(request, End) and contender.backend == "fake" and not failed:
            failed.append(request)
            self.drop(self.worker(contender))
            return Failed(status="ERROR", stage="end", reason="the trace could not be read")
        return reply

    monkeypatch.setattr(Fleet, "ask", fail_once)
    assert main(arguments(out, "fake:naive", "fake2:naive")) == 3
    assert outcomes(out) == {("fake:naive:eager", 16): "ERROR", ("fake2:naive:eager", 16): "ok"}
    warned = {each.code for each in row(out, "fake2:naive:eager").warnings}
    assert warned <= {"device-over-wall"}  # the fake's device has a clock of its own


def test_a_cold_run_says_so(out: Path) -> None:
    assert main([*arguments(out, "fake:naive", "fake2:slow"), "--cache", "cold"]) == 0
    assert "cold: evicted before each sample" in (out / store.REPORT).read_text()
    assert row(out, "fake2:slow:eager").passes["forward"].device_s == pytest.approx((1.25e-3,) * 6)


def test_streams_of_calls_are_timed_when_asked_for(out: Path, tmp_path: Path) -> None:
    main([*arguments(out, "fake:naive", "fake2:naive"), "--dispatch"])
    streams = row(out, "fake:naive:eager").streams
    assert {name: len(each) for name, each in streams.items()} == {"forward": 7, "step": 7}
    assert "## Launch cost" in (out / store.REPORT).read_text()
    main(arguments(tmp_path / "without", "fake:naive"))
    assert row(tmp_path / "without", "fake:naive:eager").streams == {}


def test_the_first_problem_is_compiled_again_with_warm_caches(out: Path) -> None:
    main(arguments(out, "fake:naive", "fake2:naive", seq_lens=(8, 16)))
    assert [bool(each.warm_costs) for each in rows_of(out)] == [True, True, False, False]  # type: ignore[union-attr]
    assert "## Startup cost" in (out / store.REPORT).read_text()


@pytest.mark.parametrize(("lost", "code"), [(Stream, "no-streams"), (Recompile, "no-warm-costs")])
def test_extras_that_fail_are_a_warning_and_not_a_lost_row(
    out: Path, monkeypatch: pytest.MonkeyPatch, lost: type, code: str
) -> None:
    ask = Fleet.ask

    def failing(self: Fleet, contender: Contender, request: Request) -> Reply:
        if isinstance(request, lost):
            return Failed(status="ERROR", stage="test", reason="broken on purpose")
        return ask(self, contender, request)

    monkeypatch.setattr(Fleet, "ask", failing)
    assert main([*arguments(out, "fake:naive", "fake2:naive"), "--dispatch"]) == 0
    assert set(outcomes(out).values()) == {"ok"}
    assert code in [each.code for each in row(out, "fake:naive:eager").warnings]
