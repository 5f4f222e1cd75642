"""Workers and samples of a whole run on the fakes."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest

from compare.analysis.times import compared
from compare.cli.main import main
from compare.measure.workers import Fleet
from compare.schema.records import PASSES, Contender, Measurement
from compare.worker.pacing import MOST_PER_BLOCK
from compare.worker.protocol import Reply, Request, Turn
from tests.fake_attn import adapter
from tests.run_fake import arguments, outcomes, row, rows_of, run_of, started_workers


def test_two_contenders_share_one_worker(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = tmp_path / "workers"
    workers.mkdir()
    monkeypatch.setenv(adapter.WORKERS, str(workers))
    assert main(arguments(out, "fake:naive", "fake:slow", "fake2:naive", seq_lens=(8, 16))) == 0
    assert len(list(workers.iterdir())) == 2  # one for each backend, for all contenders and problems
    assert set(outcomes(out).values()) == {"ok"}


def test_samples_are_counted_exactly(out: Path) -> None:
    main([*arguments(out, "fake:naive", "fake2:slow"), "--samples", "7"])
    for found in rows_of(out):
        assert isinstance(found, Measurement)
        assert found.stopped == "samples"
        for result in found.passes.values():
            assert (len(result.device_s), len(result.wall_s), result.per_round) == (7, 7, 1)


def test_noise_free_times_stop_after_the_first_block_with_six_rounds_of_each_clock(out: Path) -> None:
    words = arguments(out, "fake:naive", "fake2:slow")
    at = words.index("--samples")
    main(words[:at] + words[at + 2 :])
    for found in rows_of(out):
        assert isinstance(found, Measurement)
        assert found.stopped == "steady"
        for result in found.passes.values():
            rounds = len(result.device_s) // 8
            assert 6 <= rounds <= MOST_PER_BLOCK
            assert (result.per_round, len(result.device_s), len(result.wall_s)) == (8, 8 * rounds, 8 * ceil(rounds / 3))
    assert run_of(out).settings.samples is None


def test_every_contender_takes_a_turn_in_each_pass_of_each_round(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[tuple[bool, int, str, str]] = []
    ask = Fleet.ask

    def spy(self: Fleet, contender: Contender, request: Request) -> Reply:
        if isinstance(request, Turn):
            turns.append((request.profiled, request.round, request.pass_name, contender.name))
        return ask(self, contender, request)

    monkeypatch.setattr(Fleet, "ask", spy)
    main([*arguments(out, "fake:naive", "fake:slow", "fake2:naive"), "--samples", "20"])
    groups = [turns[at : at + 3] for at in range(0, len(turns), 3)]
    assert [{each[:3] for each in group} for group in groups] == [
        {(profiled, at, name)} for profiled in (False, True) for at in range(20) for name in PASSES
    ]
    orders = {tuple(each[3] for each in group) for group in groups}
    assert len(orders) == 6  # each order of three occurs among 120 draws


@pytest.mark.parametrize(("workers", "processes"), [("backend", 1), ("contender", 2)])
def test_a_contender_named_twice_can_have_a_worker_for_each(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str, processes: int
) -> None:
    started = started_workers(tmp_path, monkeypatch)
    words = arguments(out, "fake:naive", "fake:naive", seq_lens=(8, 16))
    assert main([*words, "--workers", workers]) == 0
    assert len(list(started.iterdir())) == processes
    assert set(outcomes(out)) == {(name, n) for name in ("fake:naive:eager", "fake:naive:eager#2") for n in (8, 16)}
    again = row(out, "fake:naive:eager#2", 8)
    assert (again.contender.backend, again.contender.variant, again.contender.entrant) == ("fake", "naive", 2)
    first = row(out, "fake:naive:eager", 8)
    [verdict] = {each.verdict for each in compared([first, again], 0.01)}
    assert verdict == "SAME"


def test_with_a_worker_for_each_a_crash_takes_no_other_contender_down(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = started_workers(tmp_path, monkeypatch)
    assert main([*arguments(out, "fake:naive", "fake:crashes", "fake:slow"), "--workers", "contender"]) == 3
    assert len(list(started.iterdir())) == 3  # with one for the backend the other two would be prepared anew
    assert outcomes(out)["fake:naive:eager", 16] == outcomes(out)["fake:slow:eager", 16] == "ok"
