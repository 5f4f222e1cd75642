"""What report.md says about synthetic rows, whole ones and sparse ones."""

from __future__ import annotations

import re

import pytest

from compare.analysis import accuracy
from compare.analysis.memory import seed_memory
from compare.maths import prediction
from compare.render.markdown_text import code, escape
from compare.schema.records import Contender, Failure, Row
from tests import samples
from tests.reports.rendered import HOSTILE, page, pair, part, printed, table_text
from tests.samples import EAGER, JAX, measurement, problem


def test_the_seed_table_has_the_seed_columns_and_numbers() -> None:
    text = part([measurement(problem(1024, 64), time_s=4.76e-3)], "Detailed results")
    seed = "| d_model | seq_len | batch_size | Forward (ms) | Backward (ms) | Forward Memory (MB) | "
    assert seed + "Backward Memory (MB) | Attention Matrix (MB) | Status |" in text
    assert "| 64 | 1024 | 4 | 4.76 ±0.0% | 5.24 ±0.0% | 21.0 | 38.8 | 16.8 | ✅ OK | 21.0 | 37.7 |" in text


def test_seed_memory_sums_what_was_held() -> None:
    row = measurement(problem(1024, 64))
    memory, score, held = seed_memory(row), prediction.score_bytes(row.problem), row.input_bytes + 2 * row.output_bytes
    assert memory.forward == memory.formula_forward == row.input_bytes + score + row.output_bytes
    assert memory.backward == held + 2 * score
    assert seed_memory(samples.skip(problem())).forward is None


def test_the_markdown_tables_are_even_under_hostile_text() -> None:
    rows: list[Row] = [
        measurement(problem(), Contender(backend="jax", variant="f|`g`.py:h", mode="jit")),
        samples.skip(problem(), reason=HOSTILE),
        Failure(problem=problem(), contender=EAGER, status="ERROR", stage="comp|ile", reason=HOSTILE),
    ]
    text = page(rows)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "[x](y)" not in text
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_escape_and_code() -> None:
    assert escape("a|b\n<c> `d` \\") == r"a\|b &lt;c&gt; \`d\` \\"
    assert (code("jax:naive:jit"), code("a|`b`")) == ("`jax:naive:jit`", r"<code>a\|\`b\`</code>")


def test_sections_are_in_order() -> None:
    titles = re.findall(r"^## (.*)$", page(samples.nine_problems()), re.MULTILINE)
    assert titles == [
        "Settings",
        "Side by side",
        "Verdicts",
        "Performance summary",
        "Wall-clock time and device time",
        "Why times differ",
        "Detailed results",
        "Memory analysis",
        "Out-of-memory analysis",
        "Roofline",
        "Numeric agreement",
        "What was timed",
        "Costs before the first sample",
        "Warnings",
        "Skipped and failed",
    ]


def test_side_by_side_has_a_table_for_each_problem() -> None:
    problems = [problem(256), problem(512, mask="causal")]
    text = part([measurement(where, contender) for where in problems for contender in (JAX, EAGER)], "Side by side")
    assert re.findall("^### (.*)$", text, re.MULTILINE) == [where.label for where in problems]
    assert text.count("| `torch:naive:eager` | ok |") == 2


def test_numeric_agreement_shows_the_worst_row() -> None:
    bad = samples.agreement(False)
    rows: list[Row] = [measurement(problem(256)), measurement(problem(512), agreement=bad)]
    assert {worst.max_error for worst in accuracy.worst_errors(rows)} == {4.2e-3}
    text = part(rows, "Numeric agreement")
    assert "| `jax:naive:jit` | dq | 4.2e-03 | 2.0e-06 | 5.2e-04 | 2.5e-07 | WRONG |" in text
    assert "| `jax:naive:jit` | 2 | 1 | 8 of 8 | `torch:naive:eager` | 4.2e-03 | 4.0e-06 |" in text


SPARSE: dict[str, list[Row]] = {
    "nothing": [],
    "no measurement": [samples.skip(problem()), samples.out_of_memory(problem())],
    "one pass": [measurement(problem(n), c, passes=("forward",)) for n in (256, 512) for c in (JAX, EAGER)],
    "saved unknown": [measurement(problem(n), c, saved_bytes=None) for n in (256, 512) for c in (JAX, EAGER)],
    "not checked": pair(agreement=None),
    "no costs": pair(costs={}),
    "zero memory": pair(saved_bytes=0),
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("width", [80, 160])
def test_sparse_rows_are_reported(name: str, width: int) -> None:
    text = printed(SPARSE[name], width)
    assert max(map(len, text.splitlines())) <= width
    assert page(SPARSE[name]).endswith("\n")


def test_one_pass_has_one_column() -> None:
    text = table_text(SPARSE["one pass"], passes=("forward",))
    assert "forward" in text
    assert "backward" not in text
    assert "step" not in text
    assert "| 64 | 256 | 4 | 1.00 ±0.0% | – | 2.1 | – | 1.0 |" in page(SPARSE["one pass"])


def test_unknown_saved_bytes_are_a_dash() -> None:
    assert "| 2.1 | – | 1.0 | ✅ OK |" in page(SPARSE["saved unknown"])
    assert "saved" not in part(SPARSE["saved unknown"], "Memory analysis")


def test_nothing_measured_is_said() -> None:
    assert "Nothing was measured." in printed([], 80)
    assert "Nothing was measured." in page([])
