"""The report as one page of HTML that needs nothing else: no network, no other file.

Jinja2 escapes whatever stands in the template.  The sections below are those of the Markdown report, whose text was
escaped when it was made (``markdown_text``).  A Content-Security-Policy lets nothing run but the page's own script.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from compare.circumstances import Run
from compare.findings import extent
from compare.records import Row
from compare.report import format as fmt
from compare.report import legend, markdown, page_lines
from compare.report import markdown_sections as sections
from compare.report.picture_words import INK, PAPER


class Drawn(NamedTuple):
    """A picture as it stands in the page."""

    name: str
    caption: str
    svg: Markup


def render(run: Run, rows: Sequence[Row], pictures: Sequence[tuple[str, str, str, str]] = (), traces: str = "") -> str:
    """The page; a picture is its name, title, caption and SVG, ``traces`` a section of the Markdown report."""
    shown = extent.first(rows, markdown.MOST_ROWS)
    left_out = extent.left_out(rows, markdown.MOST_ROWS)
    settings = re.sub("^# .*$", "## Settings", sections.heading(run, rows, left_out), count=1, flags=re.MULTILINE)
    found = [section(text) for text in (settings, *markdown.body(run, shown, traces=traces))]
    script = part("page.js")
    lines = list(page_lines.lines(run, shown))
    return template().render(
        title=f"Attention benchmark: {' and '.join(report.backend for report in run.backends) or 'no backend'}",
        date=run.date,
        backends=[fmt.one_line(legend.backend_line(report)) for report in run.backends],
        shown=left_out,
        style=Markup(part("page.css")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        contents=[each.anchor for each in found if each.anchor],
        columns=page_lines.COLUMNS,
        choices=page_lines.choices(lines),
        lines=lines,
        pictures=[Drawn(name, caption, inline(name, title, svg)) for name, title, caption, svg in pictures],
        sections=[Markup(each.html) for each in found],
    )


def part(name: str) -> str:
    """A file of the page."""
    return (files("compare.report") / name).read_text(encoding="utf-8")


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
