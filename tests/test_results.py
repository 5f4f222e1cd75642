"""``results.jsonl``: what is written is read back, and a line that is not right is named by its number."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.results.store import RESULTS, Log, lines, read
from compare.schema.records import (
    Agreement,
    Contender,
    Failure,
    Line,
    Measurement,
    MemoryCurve,
    Node,
    PassResult,
    Problem,
    Skip,
)
from compare.verify.tolerance import NOT_FINITE
from tests import samples

PROBLEM = samples.problem(256)
RUN = samples.run()
MEASUREMENT = samples.measurement(PROBLEM, jitter=0.1, alone=True)
SKIP = samples.skip(PROBLEM, predicted_bytes=48 * 10**9)
FAILURE = samples.out_of_memory(PROBLEM)
NODE = Node(name="a", host={"cores": "2"}, inherited={}, backends=RUN.backends)
KINDS: dict[str, Line] = {"run": RUN, "measurement": MEASUREMENT, "skip": SKIP, "failure": FAILURE, "node": NODE}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / RESULTS


def write(path: Path, *records: Line) -> list[bytes]:
    log = Log(path)
    for record in records:
        log.append(record)
    return path.read_bytes().splitlines()


def test_all_four_kinds_come_back_as_they_were(path: Path) -> None:
    written = write(path, RUN, MEASUREMENT, SKIP, FAILURE)
    assert lines(path) == (RUN, [MEASUREMENT, SKIP, FAILURE])
    assert read(path) == (RUN, [MEASUREMENT, FAILURE, SKIP])  # as reports have them
    assert len(written) == 4


def test_of_each_node_the_last_line_counts(path: Path) -> None:
    other, quiet = replace(NODE, name="b"), replace(NODE, backends=())
    write(path, RUN, quiet, other, SKIP, NODE)
    assert read(path) == (replace(RUN, nodes=(NODE, other)), [SKIP])


def test_a_whole_run_comes_back(path: Path) -> None:
    rows = samples.nine_problems()
    write(path, RUN, *rows)
    assert read(path) == (RUN, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_each_record_carries_its_kind(path: Path, kind: str) -> None:
    [line] = write(path, KINDS[kind])
    assert json.loads(line)["kind"] == kind


def test_there_are_exactly_five_kinds() -> None:
    assert {each.__struct_config__.tag for each in Line.__args__} == set(KINDS)
    assert {each.__struct_config__.tag_field for each in Line.__args__} == {"kind"}


@settings(max_examples=50, deadline=None)
@given(
    reason=st.text(),
    device_s=st.lists(st.floats(1e-9, 1e3), min_size=1).map(tuple),
    name=st.text(min_size=1),
)
def test_any_text_and_any_time_come_back(
    tmp_path_factory: pytest.TempPathFactory, reason: str, device_s: tuple[float, ...], name: str
) -> None:
    path = tmp_path_factory.mktemp("log") / RESULTS
    result = replace(MEASUREMENT.passes["forward"], device_s=device_s)
    rows = [replace(SKIP, reason=reason), replace(MEASUREMENT, passes={"forward": result})]
    rows.append(replace(FAILURE, contender=Contender(backend=name, variant=name, mode=name)))
    write(path, RUN, *rows)
    assert lines(path) == (RUN, rows)


def test_the_last_run_record_is_the_one_that_counts(path: Path) -> None:
    write(path, replace(RUN, backends=()), SKIP, RUN)
    assert read(path) == (RUN, [SKIP])


def test_the_error_of_a_result_that_is_not_finite_comes_back(path: Path) -> None:
    """JSON has no infinity; verification gives such a row a finite error beyond any allowance."""
    verdict = samples.agreement(False)
    tensors = (replace(verdict.tensors[0], max_error=NOT_FINITE, rms_error=NOT_FINITE), *verdict.tensors[1:])
    row = replace(MEASUREMENT, agreement=replace(verdict, tensors=tensors, other_error=NOT_FINITE))
    write(path, RUN, row)
    assert read(path) == (RUN, [row])


BROKEN = {
    "no JSON": b"{",
    "cut off": json.dumps({"kind": "skip", "problem": {}}).encode()[:20],
    "empty": b"",
    "not UTF-8": b'{"kind": "skip", "reason": "\xff"}',
    "unknown kind": b'{"kind": "guess"}',
    "no kind": b'{"reason": "why"}',
    "missing field": b'{"kind": "skip", "reason": "why"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_line_is_named_by_its_number(path: Path, name: str) -> None:
    write(path, RUN, SKIP)
    path.write_bytes(path.read_bytes() + BROKEN[name] + b"\n")
    write(path, FAILURE)
    with pytest.raises(ValueError, match=r"results\.jsonl, line 3: "):
        read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_is_refused(path: Path, kind: str) -> None:
    [line] = write(path, KINDS[kind])
    path.write_text(json.dumps(json.loads(line) | {"invented": 1}) + "\n")
    with pytest.raises(ValueError, match=r"line 1: .*invented"):
        read(path)


def test_an_unknown_field_of_a_part_is_refused(path: Path) -> None:
    [line] = write(path, SKIP)
    record = json.loads(line)
    record["problem"]["invented"] = 1
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"line 1: .*invented"):
        read(path)


def test_a_file_without_a_run_is_refused(path: Path) -> None:
    write(path, SKIP)
    with pytest.raises(ValueError, match="'run'"):
        read(path)


@pytest.mark.parametrize(
    "record", [Node, Problem, Contender, Measurement, Agreement, PassResult, MemoryCurve, Skip, Failure]
)
def test_every_field_of_the_file_stands_in_its_description(record: type[msgspec.Struct]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    unwritten = {"repeats"}  # stands in no file
    assert {name for name in record.__struct_fields__ if f"`{name}`" not in text} <= unwritten
