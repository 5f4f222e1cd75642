"""Pictures of synthetic rows: which there are, what stands in them, and that no name can do them harm."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace
from rich.console import Console

from compare.cli import publishing
from compare.cli.main import main
from compare.render.plots import drawing, style
from compare.schema.records import RESIDENT, Contender, Measurement, Row
from compare.stats.estimates import Estimate
from tests import samples
from tests.redrawing.written import folder
from tests.reports.rendered import HOSTILE
from tests.samples import EAGER, JAX, measurement, problem
from tests.test_roofline import rate

RATED = replace(samples.run(), rates=(rate(),))
WARM = {"warm_costs": samples.measurement(problem()).costs}
PNG = b"\x89PNG\r\n"


def rows_of(*contenders: Contender) -> list[Row]:
    """Two lengths and two head sizes."""
    sizes = [(length, head) for length in (64, 1024) for head in (16, 32)]
    return [
        measurement(problem(*size), each, 1e-3, passes=("step",), jitter=0.1, **WARM)
        for size in sizes
        for each in contenders
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, as they are finished."""
    made: list[Figure] = []
    monkeypatch.setattr(style, "finished", lambda figure, *_: made.append(figure))
    return made


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (axes.title, *axes.get_xticklabels(), *axes.texts)]


def test_every_picture_is_there_in_both_formats_whatever_the_names_are() -> None:
    names = (HOSTILE, "$\\frac{", "<script>alert(1)</script>", "]]>&amp;", "f" * 500, "\x00\u202e")
    found = drawing.draw(RATED, rows_of(JAX, *(replace(EAGER, variant=name) for name in names)))
    assert [each.name for each in found] == ["time", "memory", "ratios", "roofline", "costs", "fronts"]
    for each in found:
        assert each.png().startswith(PNG)
        assert ElementTree.fromstring(each.svg).tag.endswith("svg")
        assert "<script" not in each.svg
        assert each.caption


def test_the_same_rows_make_the_same_bytes() -> None:
    rows = [measurement(problem(), each) for each in (JAX, EAGER)]
    one, other = (drawing.draw(RATED, rows) for _ in range(2))
    assert [each.name for each in one] == ["fronts"]
    assert (one[0].svg, one[0].png()) == (other[0].svg, other[0].png())


def test_where_there_is_nothing_to_see_there_is_no_picture() -> None:
    assert drawing.draw(RATED, []) == []
    assert drawing.draw(RATED, [samples.skip(problem()), samples.out_of_memory(problem())]) == []
    assert drawing.draw(RATED, [measurement(problem())]) == []


def test_lengths_are_ticks_and_slopes_stand_beside_their_marks(figures: list[Figure]) -> None:
    drawing.draw(RATED, rows_of(JAX, EAGER))
    time = figures[0]
    assert [text for text in texts(time) if text in ("64", "1K")] == ["64", "1K"] * len(time.axes)
    legends = [axes.get_legend() for axes in time.axes]
    assert all(len(legend.get_texts()) == 2 for legend in legends)


def test_of_very_many_lengths_a_part_is_drawn_and_the_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    made: list[Figure] = []
    monkeypatch.setattr(style, "finished", lambda figure, _, __, where, ___: (made.append(figure), said.append(where)))
    drawing.draw(
        RATED, [measurement(problem(64 * at), each, passes=("step",)) for at in range(1, 31) for each in (JAX, EAGER)]
    )
    time, _, ratios, _ = made[:4]
    drawn = [x for x, _ in time.axes[0].containers[0].lines[0].get_xydata()]
    assert (len(drawn), drawn[0], drawn[-1]) == (drawing.MOST_LENGTHS, 64, 1920)
    assert sum("x\n±" in text for text in texts(ratios)) == drawing.MOST_LENGTHS
    assert all("12 of 30 sequence lengths are drawn" in where for where in said[:4])


def test_every_point_has_its_interval(figures: list[Figure]) -> None:
    drawing.draw(RATED, rows_of(JAX, EAGER))
    for axes in figures[0].axes:
        assert len(axes.containers) == 2
        for container in axes.containers:
            [bars] = container.lines[2]
            assert all(path.vertices[0, 1] < path.vertices[-1, 1] for path in bars.get_paths())


def test_a_point_without_an_interval_has_no_bar() -> None:
    assert style.arms([Estimate(2.0, 0.0, float("inf"), 3), Estimate(2.0, 1.0, 4.0, 9)], 10.0) == [[0, 10], [0, 20]]


def test_a_heat_map_has_numbers_interval_and_verdict_in_each_cell(figures: list[Figure]) -> None:
    slow = [replace(row, contender=EAGER) for row in rows_of(JAX)]
    drawing.draw(RATED, [*rows_of(JAX), *slow])
    cells = [text for text in texts(figures[2]) if "x\n±" in text]
    assert len(cells) == 4
    assert all(cell == "1.00x\n±0.0%\nSAME" for cell in cells)


def test_a_look_is_one_contenders_alone() -> None:
    contenders = [replace(JAX, entrant=at) for at in range(1, 36)]
    found = style.looks(contenders)
    assert len({(look.color, look.marker) for look in found.values()}) == len(contenders)


def test_report_writes_the_pictures_and_links_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [measurement(problem(), each) for each in (JAX, EAGER)]
    run, out = folder(tmp_path / "run", RATED, *rows), tmp_path / "out"
    assert main(["report", str(run), "--format", "markdown", "-o", str(out)]) == 0
    assert "](pictures/fronts.svg)" in (out / "report.md").read_text()
    assert (out / "pictures" / "fronts.png").read_bytes().startswith(PNG)
    assert (out / "pictures" / "fronts.svg").read_text().startswith("<?xml")
    assert "without pictures" not in capsys.readouterr().out


def test_without_the_extra_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publishing, "installed", lambda _: False)
    run, out = folder(tmp_path / "run", RATED, *rows_of(JAX)), tmp_path / "out"
    assert main(["report", str(run), "--format", "markdown", "-o", str(out)]) == 0
    assert "Pictures" not in (out / "report.md").read_text()
    assert not (out / "pictures").exists()
    assert publishing.NO_PICTURES in capsys.readouterr().out.replace("\n", " ")


def test_a_run_ends_with_its_page_and_its_pictures(tmp_path: Path) -> None:
    rows: list[Row] = [measurement(problem(), each) for each in (JAX, EAGER)]
    console = Console(file=(said := StringIO()), width=400)
    publishing.publish(RATED, rows, tmp_path, console)
    assert "fronts.svg" in (tmp_path / "report.md").read_text()
    assert '<figure id="picture-fronts">' in (tmp_path / "report.html").read_text()
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"fronts.svg", "fronts.png"}
    assert said.getvalue().splitlines()[-3:] == [
        str(tmp_path / name) for name in ("results.jsonl", "report.md", "report.html")
    ]


def test_a_page_without_its_extra_is_refused_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publishing, "installed", lambda name: name == "markdown_it")
    run = str(folder(tmp_path / "run", RATED, measurement(problem())))
    with pytest.raises(SystemExit) as end:
        main(["report", run, "--format", "html"])
    assert end.value.code == 2
    assert "without report.html: jinja2 is not installed (install the extra" in capsys.readouterr().err
    assert main(["report", run, "-o", str(tmp_path / "out")]) == 0
    assert "without report.html: jinja2" in capsys.readouterr().out.replace("\n", " ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.csv", "report.md"]


def test_peaks_that_are_no_counts_are_said_to_be_none() -> None:
    rows = [row for row in rows_of(JAX) if isinstance(row, Measurement)]
    step = replace(rows[0].passes["step"], peak_source=RESIDENT)
    grown = [replace(rows[0], passes={"step": step}), *rows[1:]]
    captions = [{each.name: each.caption for each in drawing.draw(RATED, found)}["memory"] for found in (rows, grown)]
    assert ["growth of resident memory" in each for each in captions] == [False, True]
