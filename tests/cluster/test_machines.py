"""Rows of different kinds of machine never meet in a report, and none is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from rich.console import Console

from compare.analysis.memory import growths
from compare.analysis.solutions import solutions
from compare.cli import publishing
from compare.cli.main import main
from compare.results import machines
from compare.results.store import REPORT, RESULTS, Log, lines
from compare.schema.records import DeviceRate, Measurement, Node, Row, Run
from tests import samples
from tests.samples import EAGER, JAX, measurement, problem

MODELS = ("small", "large")
RATE = DeviceRate(backend="jax", dtype="float32", matmul_precision="ieee", copy_bytes_per_s=1e9)


def node(name: str, model: str = "small", **other: Any) -> Node:
    reports = tuple(replace(each, device_name=model) for each in samples.run().backends)
    return Node(**({"name": name, "host": {"processor": "any"}, "inherited": {}, "backends": reports} | other))


def run(*nodes: Node) -> Run:
    return replace(samples.run(), host={}, backends=(), nodes=nodes)


def row(where: Node, seq_len: int, contender: Any = JAX, **other: Any) -> Measurement:
    model = where.backends[0].device_name
    return measurement(problem(seq_len), contender, node=where.name, device_name=model, **other)


@given(some.lists(some.sampled_from(MODELS), min_size=1, max_size=6), some.data())
def test_each_row_stands_in_the_one_part_of_its_kind(models: list[str], data: Any) -> None:
    nodes = [node(f"node-{at}", model) for at, model in enumerate(models)]
    rows = [row(data.draw(some.sampled_from(nodes)), length) for length in range(1, 20)]
    parts = machines.parts(run(*nodes), rows)
    assert sorted(each.problem.q_len for _, part in parts for each in part) == list(range(1, 20))
    for part, found in parts:
        assert {each.device_name for each in part.backends} == {each.device_name for each in found}
    assert len(parts) == len({each.device_name for each in rows})


@pytest.mark.parametrize(
    "other",
    [
        {"model": "large"},
        {"inherited": {"XLA_FLAGS": "-x"}},
        {"host": {"processor": "any", "cores": "3"}},
        {"backends": tuple(replace(each, versions={"it": "9"}) for each in node("").backends)},
    ],
    ids=["device", "environment", "cores", "versions"],
)
def test_kinds_are_told_apart_as_merged_runs_are(other: dict[str, Any]) -> None:
    first, second = node("a"), replace(node("b", other.pop("model", "small")), **other)
    assert len(machines.parts(run(first, second), [row(first, 8), row(second, 16)])) == 2


def test_nodes_of_a_kind_are_one_though_one_of_them_says_less() -> None:
    quiet = node("a", backends=(), inherited={"CUDA_VISIBLE_DEVICES": "3"}, rates=(RATE,))
    failed = replace(samples.out_of_memory(problem(8)), node="a")
    [(part, rows)] = machines.parts(run(quiet, node("b")), [failed, row(node("b"), 16)])
    assert ({each.name for each in part.nodes}, part.rates, len(rows)) == ({"a", "b"}, (RATE,), 2)


def two_kinds() -> tuple[Run, list[Row]]:
    """The large machine is ten times as fast, and has the long problems and the remedies."""
    small, large = node("a"), node("b", "large")
    rows: list[Row] = [row(small, length, each) for length in (256, 512) for each in (JAX, EAGER)]
    rows += [row(large, length, each, time_s=1e-4) for length in (1024, 2048) for each in (JAX, EAGER)]
    mixed = replace(problem(512), dtype="bfloat16", matmul_precision="default")
    rows.append(replace(row(large, 512, time_s=1e-4), problem=mixed))
    return run(small, large), rows


def test_nothing_across_kinds_is_fitted_or_compared() -> None:
    everything, rows = two_kinds()
    assert solutions(rows)  # it would be, did the rows stand together
    parts = machines.parts(everything, rows)
    assert [solutions(part) for _, part in parts] == [[], []]
    for _, part in parts:
        spans = {each.between for each in growths(part) if each.axis == "seq_len" and each.points}
        assert spans in ({(256, 512)}, {(1024, 2048)})


def test_two_kinds_have_a_report_each(tmp_path: Path) -> None:
    everything, rows = two_kinds()
    console = Console(record=True, width=80, file=(tmp_path / "said").open("w"))
    publishing.publish(replace(everything, planned_cases=99), rows, tmp_path, console)
    pages = [(tmp_path / f"kind-of-machine-{at}" / REPORT).read_text() for at in (1, 2)]
    said = console.export_text()
    for text in (pages[0], said):
        assert "Kind of machine 1 of 2: small; its rows are compared with no others" in " ".join(text.split())
    assert "All kinds of machine together: 9 of 99 planned cases" in " ".join(said.split())
    assert ["T=2048" in page for page in pages] == [False, True]
    assert not (tmp_path / REPORT).exists()


def test_what_answers_once_asks_for_one_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything, rows = two_kinds()
    folder = written(tmp_path / "both", everything, rows)
    for words in (["report", folder, "--format", "markdown"], ["diff", folder, folder]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
        assert "results of 2 kinds of machine (small, large) are not comparable; they need a" in capsys.readouterr().err


def test_select_answers_for_each_kind_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything, rows = two_kinds()
    assert main(["select", written(tmp_path / "both", everything, rows), "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert all(f", {model}" in said for model in MODELS)


def written(folder: Path, record: Run, rows: list[Row]) -> str:
    folder.mkdir()
    log = Log(folder / RESULTS)
    log.append_run(record)
    for each in rows:
        log.append(each)
    return str(folder)


def merged(tmp_path: Path, *runs: tuple[Run, list[Row]]) -> int:
    folders = [written(tmp_path / str(at), record, rows) for at, (record, rows) in enumerate(runs)]
    return main(["merge", *folders, "-o", str(tmp_path / "all")])


def test_shards_of_clusters_are_merged_with_their_nodes(tmp_path: Path) -> None:
    everything, rows = two_kinds()
    other = node("c", "large")
    assert merged(tmp_path, (everything, rows), (run(other), [row(other, 4096)])) == 0
    record, found = lines(tmp_path / "all" / RESULTS)
    assert {each.name for each in record.nodes} == {"a", "b", "c"}
    assert len(found) == len(rows) + 1
    assert [len(part) for _, part in machines.parts(record, found)] == [4, 6]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (samples.run(), "measured on is one machine, not nodes of a cluster"),
        (run(node("a", "large")), "of a is large"),
    ],
    ids=["one machine", "another node of that name"],
)
def test_what_is_no_shard_of_the_cluster_is_refused(
    tmp_path: Path, second: Run, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        merged(tmp_path, (run(node("a")), [row(node("a"), 8)]), (second, [row(node("a", "large"), 16)]))
    assert end.value.code == 2
    assert said in capsys.readouterr().err
