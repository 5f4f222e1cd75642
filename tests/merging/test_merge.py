"""Two shards, merged, are the sweep; what does not belong together is refused with the difference."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from compare.cli.main import main
from compare.results.store import REPORT, RESULTS, Log, lines
from tests.run_fake import GOOD, arguments, rows_of, run_of
from tests.samples import COMPILE, EAGER, agreement, measurement, problem, run


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
        "process_per_device is True": replace(record, settings=replace(record.settings, process_per_device=True)),
        "device_name is another": replace(record, backends=(replace(backend, device_name="another"),)),
        "versions is ": replace(record, backends=(replace(backend, versions={"it": "9"}),)),
        "environment variables is {'XLA_FLAGS': '-x'}, not {}": replace(
            record, environment=record.environment | {"inherited": {"XLA_FLAGS": "-x"}}
        ),
        "code is other": replace(record, code="other"),
        "program version is 9": replace(record, program_version="9"),
    }
    for number, (said, other) in enumerate(others.items()):
        path = written(tmp_path / str(number), other, measurement(problem(256)))
        assert said in refusal(capsys, halves[0], path, out=tmp_path / "out")
    elsewhere = replace(
        record,
        environment=record.environment | {"inherited": {"CUDA_VISIBLE_DEVICES": "3", "TRITON_CACHE_DIR": "/scratch/3"}},
    )
    assert merge(halves[0], written(tmp_path / "e", elsewhere), out=tmp_path / "out") == 0


def test_contenders_that_never_took_turns_are_not_set_beside_each_other(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Their ratio would be formed within rounds that never were; and which of two outcomes of one case is right?"""
    others = {"another": measurement(problem(64), COMPILE), "again": measurement(problem(64), alone=True)}
    for name, row in others.items():
        path = written(tmp_path / name, run(), row)
        assert "in separate runs" in refusal(capsys, halves[0], path, out=tmp_path / "out")
    part = written(tmp_path / "part", run(), measurement(problem(64)))
    assert merge(part, halves[0], out=tmp_path / "out") == 0  # it has nothing that the other has not


def test_a_third_run_is_held_against_all_before_it(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, record = run().backends[0], run().backends[1]
    alone = written(tmp_path / "alone", replace(run(), backends=(first,)), measurement(problem(256)))
    newer = replace(run(), backends=(replace(record, versions={"torch": "99"}),))
    late = written(tmp_path / "late", newer, measurement(problem(512)))
    assert "torch versions" in refusal(capsys, alone, halves[0], late, out=tmp_path / "out")


def test_a_disagreement_is_the_exit_code_of_a_merge_too(tmp_path: Path, halves: tuple[Path, Path]) -> None:
    bad = written(tmp_path / "bad", run(), measurement(problem(512), agreement=agreement(False)))
    assert merge(halves[0], bad, out=tmp_path / "out") == 1


def test_what_is_no_result_is_refused(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    empty, torn = tmp_path / "empty", tmp_path / "torn.jsonl"
    empty.mkdir()
    torn.write_bytes(msgspec.json.encode(run()) + b'\n{"kind":"meas')
    assert "found none" in refusal(capsys, empty, out=tmp_path / "out")
    assert "line 2" in refusal(capsys, torn, out=tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(
    halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (halves[1] / RESULTS).read_bytes()
    with pytest.raises(SystemExit):
        merge(*halves, out=halves[1])
    assert "not empty" in capsys.readouterr().err
    assert (halves[1] / RESULTS).read_bytes() == before
