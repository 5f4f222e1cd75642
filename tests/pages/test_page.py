"""The page holds what the rows say, needs nothing from anywhere, and no text in it can become part of it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from compare.analysis.columns import upto
from compare.analysis.entries import entries
from compare.analysis.times import Extent
from compare.render import html
from compare.render.plots import drawing
from compare.schema.records import Row
from compare.stats.estimates import device_time
from tests import samples
from tests.pages.parsed import Parsed, all_texts, rendered
from tests.reports.rendered import HOSTILE
from tests.samples import EAGER, JAX, measurement, problem

TEXTS = (
    HOSTILE,
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></script></table><h1>",
    "[x](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "<http://example.org>",
    "http://example.org",
    "a | b | c",
    "`` ` ``` ```",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &#60;b&#62;",
    "<!-- --> ]]> <![CDATA[",
    "\\<b\\>\\`\\|",
    "# x\n\n## y\n- z\n<details>",
    "\u202e\u2028x\u0085y\x00\x1b[2J",
)


def skeleton(parsed: Parsed) -> list[tuple[str, list[str]]]:
    """What the page is made of, whatever stands in it."""
    return [(tag, sorted(attributes)) for tag, attributes in parsed.tags]


PLAIN = skeleton(rendered("plain"))


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_becomes_part_of_the_page(text: str) -> None:
    parsed = rendered(text)
    assert skeleton(parsed) == PLAIN
    assert len(parsed.scripts) == 1


@settings(max_examples=30, deadline=None)
@given(some.text(alphabet="<>&\"'`|[]()!\\#-*_~{}%=/:ax1 \n", min_size=1, max_size=30).filter(str.strip))
def test_no_text_at_all_becomes_part_of_the_page(text: str) -> None:
    assert skeleton(rendered(text)) == PLAIN


def test_the_page_needs_nothing_else() -> None:
    rows: list[Row] = [measurement(problem(), each) for each in (JAX, EAGER)]
    drawn = [(each.name, each.title, each.caption, each.svg) for each in drawing.draw(samples.run(), rows)]
    text = html.render(samples.run(), rows, drawn)
    parsed = Parsed(text)
    assert any(tag == "svg" for tag, _ in parsed.tags)
    links = [*parsed.values("href"), *parsed.values("src"), *parsed.values("xlink:href")]
    assert [link for link in links if not link.startswith("#")] == []
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert not any(tag in ("link", "iframe", "object", "embed", "base", "form") for tag, _ in parsed.tags)
    assert "@import" not in text


def test_nothing_but_the_pages_own_script_may_run() -> None:
    parsed = rendered("plain")
    [policy] = [each["content"] for tag, each in parsed.tags if each.get("http-equiv") == "Content-Security-Policy"]
    [script] = parsed.scripts
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}';" in policy
    assert policy.startswith("default-src 'none';")


def test_no_two_places_have_one_address() -> None:
    rows = samples.nine_problems()
    drawn = [(name, name, name, '<svg width="1pt"><g id="axes_1"/><use href="#axes_1"/></svg>') for name in ("a", "b")]
    parsed = Parsed(html.render(samples.run(), rows, drawn))
    ids = parsed.values("id")
    assert len(set(ids)) == len(ids)
    assert {link.removeprefix("#") for link in parsed.values("href")} <= set(ids)
    assert not any(each.startswith("row-") for each in ids)  # those of the lines, which the script gives
    assert [line["key"] for line in parsed.lines] == [each.key for each in entries(samples.run(), rows)]


def test_a_line_keeps_its_address_whatever_else_there_is() -> None:
    row = measurement(problem(64), JAX)
    alone = [line.key for line in html.row_lines(samples.run(), [row])]
    among = [line.key for line in html.row_lines(samples.run(), [*samples.nine_problems(), row])]
    assert among[-3:] == alone


def test_lines_hold_numbers_kernels_and_reasons() -> None:
    rows: list[Row] = [measurement(problem(), JAX), measurement(problem(), EAGER, 2e-3), samples.skip(problem(), JAX)]
    *_, slow, skipped = html.row_lines(samples.run(), rows)
    names = [column.heading for column in upto("page")]
    cells = dict(zip(names, slow.cells, strict=True))
    assert cells["Device (ms)"].value == device_time(rows[1].passes["step"]).median  # type: ignore[union-attr]
    assert (cells["Ratio"].text, cells["Verdict"].text) == ("2.00x ±0.0%", "SLOWER")
    assert slow.notes[0] == f"Ratio to {JAX.name}."
    assert [name for name, _, _ in slow.kernels] == ["gemm", "softmax"]
    assert skipped.notes == [f"skip: {rows[2].reason}"]  # type: ignore[union-attr]
    assert len(skipped.cells) == len(names)


def test_the_page_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compare.render.markdown.SHOWN", Extent(6, 6))
    monkeypatch.setattr("compare.render.html.IN_TABLE", Extent(9, 9))
    text = html.render(samples.run(), samples.nine_problems())
    assert text.count("the first 3 of 9 problems (9 of 27 rows)") == 1  # above the table of rows
    assert text.count("the first 2 of 9 problems (6 of 27 rows)") == 1  # of the sections
    assert len(Parsed(text).lines) == 27


def test_pictures_take_the_colours_of_the_page() -> None:
    svg = '<?xml?><svg width="7pt" height="5pt" viewBox="0"><path id="p" style="fill: #1b1b1f"/><use href="#p"/></svg>'
    made = str(html.inline("time", 'a"b<', svg))
    head = '<svg viewBox="0" role="img" aria-label="a&#34;b&lt;">'
    assert made == head + '<path id="time-p" style="fill: currentColor"/><use href="#time-p"/></svg>'


def test_every_free_text_is_in_the_page() -> None:
    text = html.render(*all_texts("needle"))
    assert text.count("needle") > 40
