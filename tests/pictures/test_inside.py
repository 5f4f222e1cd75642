"""Memory inside one iteration: whose stands beside whose, what is drawn, and that older results have no picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace

from compare.analysis import curves
from compare.cli.main import main
from compare.maths.prediction import seed_backward_bytes, seed_forward_bytes, seed_rise_bytes
from compare.render.plots import drawing, inside, style
from compare.results.store import RESULTS
from compare.schema.records import PASSES, Contender, Measurement, MemoryCurve, Problem
from tests import samples
from tests.redrawing.written import folder
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

LARGE, SMALL = problem(256), problem(64)
CURVE = MemoryCurve(source="events", window_s=0.5, moments_s=(0.0, 0.1, 0.3), levels_bytes=(0, 7 * 10**6, -(10**6)))
UNTOLD = MemoryCurve(source="plan", reason="the plan is held as it is")


def row(where: Problem, contender: Contender, curve: MemoryCurve | None) -> Measurement:
    made = measurement(where, contender)
    return replace(made, passes={name: replace(made.passes[name], memory_over_time=curve) for name in PASSES})


def draw(*rows: Measurement) -> Any:
    looks = style.looks(each.contender for each in rows)
    return style.drawn(inside.draw, curves.panels(rows), looks, "a device")


def test_the_problem_with_most_curves_is_shown_and_of_several_the_largest() -> None:
    both = [row(SMALL, JAX, CURVE), row(SMALL, EAGER, CURVE)]
    wrong = replace(row(LARGE, COMPILE, CURVE), agreement=samples.agreement(False))
    found = curves.panels([row(LARGE, JAX, CURVE), row(LARGE, EAGER, UNTOLD), wrong, *both])
    assert found is not None
    assert found.problem == SMALL
    found = curves.panels([*both, row(LARGE, JAX, CURVE), row(LARGE, EAGER, CURVE)])
    assert found is not None
    assert found.problem == LARGE
    assert found.passes == ["step", "forward", "backward"]
    assert found.homes == ["jax", "torch"]


def test_results_without_curves_have_no_picture() -> None:
    assert curves.panels([row(SMALL, JAX, None), row(SMALL, EAGER, UNTOLD), samples.skip(SMALL)]) is None
    assert draw(row(SMALL, JAX, None)) is None


def test_lines_are_steps_over_the_share_of_the_iteration_with_both_peaks_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(style, "finished", lambda figure, *_: figures.append(figure))
    draw(row(LARGE, JAX, CURVE), row(LARGE, EAGER, CURVE), row(LARGE, COMPILE, CURVE))
    [figure] = figures
    assert [axes.get_title() for axes in figure.axes[:2]] == ["step, jax", "step, torch"]
    line, highest, reported, matrix, formula = figure.axes[0].get_lines()
    assert line.get_drawstyle() == "steps-post"
    assert list(line.get_xdata()) == [0, 20, 60, 100]
    assert list(line.get_ydata()) == [0, 7, -1, -1]
    assert (highest.get_xdata()[0], highest.get_ydata()[0]) == (20, 7)
    assert reported.get_ydata()[0] == measurement(LARGE, JAX).passes["step"].peak_bytes / 1e6
    assert highest.get_markerfacecolor() != "none"
    assert reported.get_markerfacecolor() == "none"
    assert matrix.get_ydata()[0] == 4 * 256 * 256 * 4 / 1e6
    assert formula.get_ydata()[0] == (2 * 4 * 256 * 256 * 4 + 4 * 256 * 64 * 4) / 1e6
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[1].get_lines()[0:6:3]}
    assert len(looks) == 2


def test_the_formula_adds_one_matrix_forward_one_more_backward_and_both_in_a_step() -> None:
    assert seed_rise_bytes(LARGE, "forward") + seed_rise_bytes(LARGE, "backward") == seed_rise_bytes(LARGE, "step")
    assert seed_rise_bytes(LARGE, "backward") == seed_backward_bytes(LARGE) - seed_forward_bytes(LARGE)


def test_the_caption_names_who_says_so_and_who_has_no_line_and_why() -> None:
    planned = replace(CURVE, source="plan")
    picture = draw(row(LARGE, JAX, planned), row(LARGE, EAGER, CURVE), row(LARGE, COMPILE, UNTOLD))
    assert "Sources: jax: plan; torch: events." in picture.caption
    assert picture.caption.endswith("No line for torch:naive:compile: the plan is held as it is.")
    assert picture.png() == draw(row(LARGE, JAX, planned), row(LARGE, EAGER, CURVE), row(LARGE, COMPILE, UNTOLD)).png()


def test_reports_hold_it_and_those_of_older_results_do_not(tmp_path: Path) -> None:
    new = folder(tmp_path / "new", samples.run(), row(LARGE, JAX, CURVE))
    older = [json.loads(line) for line in (new / RESULTS).read_text().splitlines()]
    older[0]["schema_version"] = 3
    for result in older[1]["passes"].values():
        del result["memory_over_time"]
    old = tmp_path / "old"
    old.mkdir()
    (old / RESULTS).write_text("".join(json.dumps(each) + "\n" for each in older))
    for results, there in ((new, True), (old, False)):
        out = tmp_path / f"{results.name}-report"
        assert main(["report", str(results), "--format", "markdown,html", "-o", str(out)]) == 0
        assert ("](pictures/memory-inside.svg)" in (out / "report.md").read_text()) == there
        assert ('id="picture-memory-inside"' in (out / "report.html").read_text()) == there
        assert (out / "pictures" / "memory-inside.png").exists() == there
        assert JAX.name in (out / "report.md").read_text()


def test_drawing_includes_it() -> None:
    assert [each.name for each in drawing.draw(samples.run(), [row(LARGE, JAX, CURVE)])] == ["memory-inside"]
