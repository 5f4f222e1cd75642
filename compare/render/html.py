"""The report as one page of HTML that needs no network and no other file.

Jinja2 escapes whatever stands in the template.  The sections below are those of the Markdown report, whose text was
escaped when it was made (``markdown_text``).  A Content-Security-Policy lets nothing run but the page's own script.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

import msgspec
from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from compare.analysis import circumstances, kernels, times
from compare.analysis import text as fmt
from compare.analysis.columns import Column, upto
from compare.analysis.entries import Entry, entries
from compare.analysis.notices import worded
from compare.analysis.sections import unmarked
from compare.analysis.times import Extent
from compare.render import markdown
from compare.render.plots.style import INK, PAPER
from compare.results.rows import outcome_of
from compare.schema.records import Measurement, PassResult, Row, Run

CHOICES = ("Pass", "Verdict", "Result")


class Cell(NamedTuple):
    """What a cell shows and, of a number, by what it is sorted; an empty value stands behind all others."""

    text: str
    value: float | str | None = None


class Line(NamedTuple):
    """A line: its address, its cells, and what opens below the contender's name."""

    key: str
    cells: list[Cell]
    notes: list[str]
    kernels: list[tuple[str, str, str]]


def row_lines(run: Run, rows: Sequence[Row]) -> Iterator[Line]:
    """All lines."""
    columns = upto("page")
    for each in entries(run, rows):
        cells = [cell(column, each) for column in columns]
        yield Line(each.key, cells, notes(each), kernels_of(each.result) if each.result else [])


def cell(column: Column, entry: Entry) -> Cell:
    """A number is sorted by its value, a text by itself."""
    value = column.value(entry) if column.align == "right" else None
    return Cell(unmarked(column.text(entry)), "" if column.align == "right" and value is None else value)


def notes(each: Entry) -> list[str]:
    """Sentences on a line: its reference, rounds, sources, warnings; of a row without numbers the reason."""
    row, result = each.row, each.result
    if not isinstance(row, Measurement) or result is None or each.device is None:
        return [] if isinstance(row, Measurement) else [fmt.one_line(f"{outcome_of(row)}: {row.reason}")]
    said = [
        f"Ratio to {each.reference.name}." if each.ratio and each.reference else "",
        f"Ran {row.ran}." if row.ran else "",
        f"{fmt.plural(each.device.rounds, 'round')} in {fmt.plural(1 + len(result.repeats), 'process', 'processes')}, "
        f"stopped by {row.stopped}. Peak by {result.peak_source}.",
        "Measured alone on the device." if row.alone else "",
        *(f"{worded(notice)} [{notice.code}]" for notice in row.warnings),
    ]
    return [fmt.one_line(text) for text in said if text]


def kernels_of(result: PassResult) -> list[tuple[str, str, str]]:
    """What ran: name, what it is, and its runs, time and share."""
    return [
        (fmt.one_line(line.name), line.kinds[0], kernels.kernel_words(line))
        for line in kernels.lines(result)
        if line.share >= kernels.LEAST_SHARE
    ]


def choices(found: Sequence[Line]) -> list[tuple[str, int, list[str]]]:
    """Columns of few words, by which lines are chosen: name, place in the table, and the words."""
    names = [column.name for column in upto("page")]
    places = [(name, names.index(name)) for name in CHOICES]
    return [
        (name, at + 1, [word for word in dict.fromkeys(line.cells[at].text for line in found) if word])
        for name, at in places
    ]


IN_TABLE = Extent(3000, 3000)  # in the table, which the browser makes from data; the sections hold fewer


class Drawn(NamedTuple):
    """A picture as it stands in the page."""

    name: str
    caption: str
    svg: Markup


def render(run: Run, rows: Sequence[Row], pictures: Sequence[tuple[str, str, str, str]] = (), traces: str = "") -> str:
    """The page; a picture is its name, title, caption and SVG, ``traces`` a section of the Markdown report."""
    shown = times.first(rows, markdown.SHOWN)
    opening = markdown.drawn(circumstances.opening(run, rows, times.left_out(rows, markdown.SHOWN)))
    found = [section(text) for text in (*opening, *markdown.body(run, shown, traces=traces))]
    script = part("page.js")
    lines = list(row_lines(run, times.first(rows, IN_TABLE)))
    return template().render(
        title=circumstances.title(run),
        date=run.date,
        backends=[fmt.one_line(circumstances.backend_line(report)) for report in run.backends],
        shown=times.left_out(rows, IN_TABLE),
        style=Markup(part("page.css")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        contents=[each.anchor for each in found if each.anchor],
        columns=[column.heading for column in upto("page")],
        choices=choices(lines),
        lines=data(lines),
        pictures=[Drawn(name, caption, inline(name, title, svg)) for name, title, caption, svg in pictures],
        sections=[Markup(each.html) for each in found],
    )


def data(lines: Sequence[Line]) -> Markup:
    """The lines as JSON in which nothing can end the script element that it stands in."""
    return Markup(msgspec.json.encode(lines).decode().replace("<", "\\u003c"))


def part(name: str) -> str:
    """A file of the page."""
    return (files("compare.render") / name).read_text(encoding="utf-8")


def template() -> Template:
    """The page's frame."""
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        part("page.html.jinja")
    )


class Section(NamedTuple):
    """A section as HTML, with the id and the words of its heading."""

    html: str
    anchor: tuple[str, str] | None


def section(text: str) -> Section:
    """A section of the Markdown report."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(text)
    anchor = None
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            words = tokens[at + 1].content
            anchor = re.sub(r"\W+", "-", words.lower()).strip("-"), words
            token.attrSet("id", anchor[0])
    html: str = reader.renderer.render(tokens, reader.options, {})
    wide = html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return Section(wide, anchor)


def inline(name: str, title: str, svg: str) -> Markup:
    """A picture in the page's own colours, as wide as there is room, with ids that no other picture has."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head) + f' role="img" aria-label="{escape(title)}"'
    own = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    return Markup(head + ">" + own.replace(INK, "currentColor").replace(PAPER, "var(--paper)"))
