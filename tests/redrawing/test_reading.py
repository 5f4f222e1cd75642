"""A damaged file gives a report of what is left, and says what is not; never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from compare.cli.main import main
from compare.measure import search
from compare.render import csv_table, html, markdown
from compare.results import rows as processes
from compare.results import store
from compare.results.store import RESULTS
from compare.schema.records import SCHEMA_VERSION, Line
from tests import samples
from tests.reports.rendered import printed
from tests.samples import COMPILE, EAGER, JAX, measurement, problem, run

RUN, ROW, OTHER = run(), measurement(problem(64)), measurement(problem(64), EAGER)
COMMITTED = sorted((Path(__file__).parents[2] / "results").rglob("*.jsonl"))
SEARCHES = [path for path in COMMITTED if path.name == search.RECORDS]
BROKEN = {
    "no JSON": b"{",
    "cut off": msgspec.json.encode(OTHER)[:300],
    "empty": b"",
    "binary": b"\x00\xff\xfe",
    "nested": b"[" * 10**5,
    "another program's": b'{"time": 1.0}',
    "an invented field": b'{"kind": "skip", "colour": 1}',
}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "/".join(path.parts[-3:]))
def test_nothing_is_wrong_with_the_committed_results(path: Path) -> None:
    if path in SEARCHES:
        assert search.read(path)[1]
    else:
        assert store.found(path).faults == []


def file(path: Path, *parts: Line | bytes) -> Path:
    lines = [part if isinstance(part, bytes) else msgspec.json.encode(part) for part in parts]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def with_field(row: Line, *path: str, value: Any) -> bytes:
    """A record with one field of it changed."""
    record = json.loads(msgspec.json.encode(row))
    place = record
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(record).encode()


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    found = store.found(file(tmp_path / RESULTS, RUN, ROW, BROKEN[name], OTHER))
    assert found.rows == [ROW, OTHER]
    [fault] = found.faults
    assert fault.startswith(f"{tmp_path / RESULTS}, line 3: ")


WRONG: dict[str, tuple[tuple[str, ...], Any]] = {
    "no rows": (("problem", "batch"), 0),
    "more than there are atoms": (("problem", "q_len"), 10**30),
    "a mask that is none": (("problem", "mask"), "window:0"),
    "no samples": (("passes", "step", "device_s"), []),
    "a time of nothing": (("passes", "step", "wall_s"), [0.0] * 30),
    "no iterations in a round": (("passes", "step", "per_round"), 0),
    "less than nothing kept": (("saved_bytes",), -1),
    "another number of rounds": (("passes", "step", "device_s"), [1.0] * 60),
    "a process without its first": (("process",), 2),
    "a case twice": (("contender",), {"backend": "jax", "variant": "naive", "mode": "jit"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_that_no_report_could_bear_are_left_out(tmp_path: Path, name: str) -> None:
    path, value = WRONG[name]
    third = measurement(problem(64), COMPILE)
    found = store.found(file(tmp_path / RESULTS, RUN, ROW, with_field(OTHER, *path, value=value), third))
    assert found.rows == [ROW, third]
    assert len(found.faults) == 1
    assert "line 3: " in found.faults[0]
    assert printed(found.rows, 100)


def test_rows_with_the_device_to_themselves_have_rounds_of_their_own(tmp_path: Path) -> None:
    longer = {name: replace(each, per_round=2 * each.per_round) for name, each in OTHER.passes.items()}
    alone = replace(OTHER, passes=longer, alone=True)
    assert store.found(file(tmp_path / RESULTS, RUN, ROW, alone)) == (RUN, [ROW, alone], [])
    assert store.found(file(tmp_path / RESULTS, RUN, ROW, replace(alone, alone=False))).rows == [ROW]


LONGER = {name: replace(each, per_round=2 * each.per_round) for name, each in ROW.passes.items()}
FORWARD = {"forward": OTHER.passes["forward"]}
AGAIN = {name: replace(each, repeats={2: each}) for name, each in OTHER.passes.items()}
# Rows none of which is wrong by itself, and the lines at fault beside those before them.
BESIDE: dict[str, tuple[tuple[Line, ...], list[int]]] = {
    "a later process without a pass": ((ROW, OTHER, replace(OTHER, process=2, passes=FORWARD)), [4]),
    "a later process with a pass more": ((replace(OTHER, passes=FORWARD), replace(OTHER, process=2)), []),
    "the process of a row left out": ((ROW, replace(OTHER, passes=LONGER), replace(OTHER, process=2)), [3, 4]),
    "the case of a row left out": ((ROW, replace(OTHER, passes=LONGER), OTHER), [3]),
    "passes of unlike rounds, alone": ((replace(ROW, alone=True, passes=ROW.passes | {"step": LONGER["step"]}),), [2]),
    "processes inside a row": ((ROW, replace(OTHER, passes=AGAIN)), [3]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_row_that_cannot_stand_beside_those_before_it_is_left_out_and_refused_where_all_must_be_right(
    tmp_path: Path, name: str
) -> None:
    rows, wrong = BESIDE[name]
    path = file(tmp_path / RESULTS, RUN, *rows)
    found = store.found(path)
    assert [int(fault.split("line ")[1].split(":")[0]) for fault in found.faults] == wrong
    assert csv_table.render(found.run, processes.joined(found.rows))
    for words in (["select", str(path)], ["diff", str(path), str(path)]) if wrong else ():
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2


@pytest.mark.parametrize("also", [{}, {"of_tomorrow": 1}], ids=["the same fields", "new fields"])
def test_a_newer_schema_is_refused(tmp_path: Path, also: dict[str, int]) -> None:
    record = json.loads(msgspec.json.encode(replace(RUN, schema_version=SCHEMA_VERSION + 1, program_version="7.1")))
    path = file(tmp_path / RESULTS, json.dumps(record | also).encode(), ROW)
    with pytest.raises(ValueError, match=rf"line 1: schema version {SCHEMA_VERSION + 1}, written by .*'7.1'.* 1 to"):
        store.found(path)


def test_a_file_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a line of kind 'run'"):
        store.found(file(tmp_path / RESULTS, ROW))


def changed(record: Any, chance: random.Random) -> Any:
    """A JSON value with something in it that was not there before."""
    if isinstance(record, dict) and record and chance.random() < 0.95:
        name = chance.choice(list(record))
        return {**record, name: changed(record[name], chance)}
    if isinstance(record, list) and record and chance.random() < 0.9:
        at = chance.randrange(len(record))
        return [*record[:at], changed(record[at], chance), *record[at + 1 :]]
    new: list[Any] = [None, 0, -1, 1, 2**40, 10**400, 1e-300, 1e300, 1.5, "", "x" * 99, "step", [], {}, True, [record]]
    return chance.choice(new)


def read(path: Path) -> store.Found | None:
    """What is found; None where it is refused in one line."""
    try:
        return store.found(path)
    except ValueError:
        return None


@settings(max_examples=150, deadline=None)
@given(seed=some.integers(0, 2**32))
def test_whatever_is_changed_in_a_file_gives_a_report(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    rows = [*samples.three_rows(problem(64), 0.1), measurement(problem(128)), samples.skip(problem(256), JAX)]
    lines = [json.loads(msgspec.json.encode(each)) for each in (RUN, *rows)]
    for _ in range(3):
        at = chance.randrange(len(lines))
        lines[at] = changed(lines[at], chance)
    path = file(tmp_path_factory.mktemp("changed") / RESULTS, *(json.dumps(line).encode() for line in lines))
    found = read(path)
    if found is None:
        return
    joined = processes.joined(found.rows)
    assert len(found.rows) + len(found.faults) >= len(rows)
    assert printed(joined, 80, found.run)
    assert markdown.render(found.run, joined)
    assert csv_table.render(found.run, joined)
    assert html.render(found.run, joined)
