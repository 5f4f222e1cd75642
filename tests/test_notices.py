"""Warnings are typed: each code has its sentence, and the sentences of old files stay as they are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from compare.analysis.notices import SENTENCES, worded
from compare.render import markdown
from compare.results import store
from compare.schema.records import Notice, Row
from tests import samples
from tests.reports.rendered import printed
from tests.samples import EAGER, measurement, problem

ROOT = Path(__file__).parents[1]
SIZES = (
    ("others_share", "stolen_share", "low_mhz", "high_mhz", "change", "lower_s", "upper_s", "upper_share", "excess"),
    ("far", "samples", "worst", "peak_bytes", "score_bytes", "events_bytes", "buffers_bytes", "calls", "process"),
    ("rounds", "bytes", "queries", "of_queries", "keys", "of_keys", "contenders"),
)
NUMBERS = {name: 2.0 for names in SIZES for name in names}


def constants(keyword: str = "") -> set[str]:
    """The texts that stand in the source outside of the sentences; with a keyword those alone that it is given."""
    found: set[str] = set()
    for path in (ROOT / "compare").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text()))) if path.name != "notices.py" else []
        if keyword:
            nodes = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == keyword]
        found |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    assert constants("code") <= set(SENTENCES) <= constants()


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_one_line_that_says_something(code: str) -> None:
    text = worded(Notice(code=code, numbers=NUMBERS, names=("NAME",)))
    assert len(text) > 14
    assert "\n" not in text
    assert not re.search(r"nan|\{|None", text)


def test_a_warning_survives_its_file(tmp_path: Path) -> None:
    noted = Notice(code="outliers", pass_name="step", numbers={"far": 5, "samples": 100, "worst": 7.5})
    log = store.Log(tmp_path / store.RESULTS)
    log.append_run(samples.run())
    log.append(measurement(problem(64), warnings=(noted,)))
    _, [row] = store.read(tmp_path / store.RESULTS)
    assert row.warnings == (noted,)  # type: ignore[union-attr]
    assert worded(noted).startswith("step: 5 of 100 samples are outliers, the slowest 7.5x the median")


def test_reports_say_the_sentence_of_a_typed_warning() -> None:
    noted = Notice(code="outliers", pass_name="step", numbers={"far": 5, "samples": 100, "worst": 7.5})
    rows: list[Row] = [measurement(problem(64), warnings=(noted,))]
    for text in (markdown.render(samples.run(), rows), printed(rows, 80)):
        assert "step: 5 of 100 samples are outliers, the slowest 7.5x the median" in " ".join(text.split())


def test_the_sentence_of_a_file_of_schema_4_stays_and_its_pass_becomes_a_field(tmp_path: Path) -> None:
    log = store.Log(tmp_path / store.RESULTS)
    log.append_run(samples.run())
    row = msgspec.to_builtins(measurement(problem(64), EAGER))
    row["warnings"] = [{"code": "not-naive", "text": "forward: fused"}, {"code": "restarted", "text": "anew"}]
    with (tmp_path / store.RESULTS).open("ab") as file:
        file.write(msgspec.json.encode(row) + b"\n")
    _, [read] = store.read(tmp_path / store.RESULTS)
    fused, restarted = read.warnings  # type: ignore[union-attr]
    assert (fused.pass_name, worded(fused)) == ("forward", "forward: fused")
    assert (restarted.pass_name, worded(restarted)) == (None, "anew")
