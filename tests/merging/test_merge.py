"""Two shards, merged, are the sweep; what does not belong together is refused with the difference."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from compare.cli import main
from compare.results import REPORT, RESULTS, Log, lines
from tests.run_fake import GOOD, arguments, rows_of, run_of
from tests.samples import EAGER, measurement, problem, run


def written(folder: Path, record, *rows) -> Path:
    folder.mkdir()
    for each in (record, *rows):
        Log(folder / RESULTS).append(each)
    return folder


def merge(*paths: Path, out: Path) -> int:
    return main(["merge", *map(str, paths), "-o", str(out)])


def refusal(capsys: pytest.CaptureFixture[str], *paths: Path, out: Path) -> str:
    with pytest.raises(SystemExit) as end:
        merge(*paths, out=out)
    assert end.value.code == 2
    assert not out.exists()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("compare merge: error: ")
    return line


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    one = written(tmp_path / "one", run(), measurement(problem(64)), measurement(problem(64), EAGER))
    other = written(tmp_path / "other", replace(run(), command="the other", date="2999"), measurement(problem(128)))
    return one, other


def test_two_shards_make_the_whole_sweep(tmp_path: Path) -> None:
    lengths, folders = (4, 8, 16), [tmp_path / name for name in "ab"]
    for number, folder in enumerate(folders, 1):
        assert main([*arguments(folder, *GOOD, seq_lens=lengths), "--shard", f"{number}/2"]) == 0
    assert merge(*folders, out=tmp_path / "all") == 0
    rows, whole = rows_of(tmp_path / "all"), run_of(tmp_path / "all")
    assert len(rows) == whole.planned_cases == 3 * len(GOOD)
    assert [row.problem.q_len for row in rows] == [length for length in lengths for _ in GOOD]
    assert all("--shard" in source.command for source in whole.sources)
    assert all(row in [*rows_of(folders[0]), *rows_of(folders[1])] for row in rows)
    report = (tmp_path / "all" / REPORT).read_text()
    assert "merged from" in report
    assert "incomplete" not in report


def test_merging_again_changes_nothing(tmp_path: Path, halves: tuple[Path, Path]) -> None:
    merge(*halves, out=tmp_path / "all")
    first = lines(tmp_path / "all" / RESULTS)
    merge(halves[0], tmp_path / "all", halves[1], tmp_path / "all" / RESULTS, out=tmp_path / "again")
    again = lines(tmp_path / "again" / RESULTS)
    assert again[1] == first[1]
    assert replace(again[0], command="") == replace(first[0], command="")


def test_what_is_missing_of_a_shard_is_said(tmp_path: Path, halves: tuple[Path, Path]) -> None:
    part = written(tmp_path / "part", replace(run(), command="a part", planned_cases=7), measurement(problem(256)))
    whole = written(tmp_path / "whole", replace(run(), planned_cases=2), *lines(halves[0] / RESULTS)[1])
    merge(whole, part, out=tmp_path / "all")
    assert "3 of 9 planned cases" in (tmp_path / "all" / REPORT).read_text()


def test_other_settings_devices_and_versions_are_refused(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    record = run()
    backend = record.backends[0]
    others = {
        "budget_s is 99.0": replace(record, settings=replace(record.settings, budget_s=99.0)),
        "device_name is another": replace(record, backends=(replace(backend, device_name="another"),)),
        "versions is ": replace(record, backends=(replace(backend, versions={"it": "9"}),)),
        "inherited XLA_FLAGS is -x, and not set there": replace(
            record, environment=record.environment | {"inherited": {"XLA_FLAGS": "-x"}}
        ),
        "program version is 9": replace(record, program_version="9"),
    }
    for number, (said, other) in enumerate(others.items()):
        path = written(tmp_path / str(number), other, measurement(problem(256)))
        assert said in refusal(capsys, halves[0], path, out=tmp_path / "out")
    elsewhere = replace(record, environment=record.environment | {"inherited": {"CUDA_VISIBLE_DEVICES": "3"}})
    assert merge(halves[0], written(tmp_path / "e", elsewhere), out=tmp_path / "out") == 0


def test_two_outcomes_of_one_case_are_refused(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    again = written(tmp_path / "again", run(), measurement(problem(64), alone=True))
    line = refusal(capsys, halves[0], again, out=tmp_path / "out")
    assert "both measured" in line
    assert "leave one out" in line


def test_what_is_no_result_is_refused(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    empty, torn = tmp_path / "empty", tmp_path / "torn.jsonl"
    empty.mkdir()
    torn.write_bytes(msgspec.json.encode(run()) + b'\n{"kind":"meas')
    assert "there is none" in refusal(capsys, empty, out=tmp_path / "out")
    assert "line 2" in refusal(capsys, torn, out=tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(
    halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (halves[1] / RESULTS).read_bytes()
    with pytest.raises(SystemExit):
        merge(*halves, out=halves[1])
    assert "not empty" in capsys.readouterr().err
    assert (halves[1] / RESULTS).read_bytes() == before
