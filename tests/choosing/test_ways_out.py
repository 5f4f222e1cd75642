"""Where something is too large for memory, what fits is named: in the answer under a limit, and in every report."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from compare.analysis.memory import way_text, ways_out
from compare.analysis.sections import unmarked
from compare.cli.main import main
from compare.render.markdown_text import marked
from compare.schema.records import Measurement
from tests.choosing.rows import FUSED, steady, written
from tests.reports.rendered import page, printed
from tests.samples import EAGER, JAX, agreement, measurement, out_of_memory, problem, skip

LONG = problem(4096)
HALF = replace(LONG, dtype="bfloat16", matmul_precision="default")
FITS = "too large for memory; there torch:fused:compile bfloat16 (FlashAttention and mixed precision, peak 1.0 MB) fits"
TRY = "too large for memory; FlashAttention stores no T x T matrix: try --variant fused"


def light(row: Measurement) -> Measurement:
    """The row with a peak of a megabyte."""
    return replace(row, passes={name: replace(each, peak_bytes=10**6) for name, each in row.passes.items()})


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["select", *map(str, words)]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_what_is_over_the_limit_is_told_which_measured_solution_is_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [steady(LONG, JAX), steady(LONG, EAGER), light(steady(HALF, FUSED)), steady(HALF, JAX)]
    text = said(capsys, written(tmp_path / "a", *rows), "--memory-limit", "10MB")
    assert f"jax:naive:jit and torch:naive:eager: {FITS} [B=4 T=4096 N=1 H=64 full float32 ieee]" in text
    text = said(capsys, written(tmp_path / "b", *rows[:2]), "--memory-limit", "10MB")
    assert f"{TRY} [B=4 T=4096" in text
    text = said(capsys, written(tmp_path / "c", *rows), "--memory-limit", "1kB")
    assert "too large for memory; no solution measured there fits either; --max-seq-len finds the longest" in text
    assert "too large" not in said(capsys, written(tmp_path / "d", *rows))


def test_reports_say_what_fits_where_naive_does_not() -> None:
    lost = [out_of_memory(LONG, EAGER), skip(LONG, JAX, predicted_bytes=1)]
    rows = [*lost, light(measurement(HALF, FUSED))]
    [line] = way_text(ways_out(rows))
    assert unmarked(line) == f"torch:naive:eager and jax:naive:jit: {FITS} [{LONG.label}]"
    assert unmarked(line) in " ".join(printed(rows, 160).split())
    assert marked(line) in page(rows)
    [line] = way_text(ways_out(lost))
    assert unmarked(line) == f"torch:naive:eager and jax:naive:jit: {TRY} [{LONG.label}]"


@pytest.mark.parametrize(
    "other",
    [
        light(measurement(HALF, FUSED, agreement=agreement(False))),
        light(measurement(replace(HALF, mask="causal"), FUSED)),
        light(measurement(replace(HALF, q_len=2048), FUSED)),
        light(measurement(LONG, JAX)),
    ],
    ids=["wrong numbers", "another mask", "shorter", "no remedy"],
)
def test_what_is_no_way_out_is_not_named(other: Measurement) -> None:
    [way] = ways_out([out_of_memory(LONG, EAGER), other])
    assert way.fitting == ()


def test_what_was_skipped_for_another_reason_is_not_too_large() -> None:
    assert ways_out([skip(LONG, JAX), light(measurement(HALF, FUSED))]) == []
