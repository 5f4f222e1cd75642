"""A page as a parser sees it, and rows whose every text is given."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from msgspec.structs import replace

from compare.render import html
from compare.schema.records import Failure, Kernel, Notice, Row, Run
from tests import samples
from tests.samples import EAGER, JAX, measurement, problem

VOID = {"meta", "input", "br"}


class Parsed(HTMLParser):
    """Start tags with their attributes, the text of each script, and whether all that opens is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.data = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":  # which no browser runs
                self.data += data
            else:
                self.scripts.append(data)

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the table of rows, from which the page's script makes it."""
        return [dict(zip(html.Line._fields, line, strict=True)) for line in json.loads(self.data)]


def all_texts(text: str) -> tuple[Run, list[Row]]:
    """A run in which every free text is the one given, with a number behind it where they must differ."""
    run = samples.run()
    reports = tuple(replace(each, device_name=text, versions={text: text}, flags={text: text}) for each in run.backends)
    run = replace(run, command=text, date=text, host={text: text}, environment={text: {text: text}}, backends=reports)
    said: dict[str, Any] = {"warnings": (Notice(code=text, text=text),), "ran": text}
    first, second = replace(JAX, variant=text), replace(EAGER, variant=text, backend=text, mode=text)
    rows: list[Row] = [measurement(problem(256), first, **said), measurement(problem(256), second, 2e-3, **said)]
    named = tuple(Kernel(name=f"{text}{at}", count=1, device_s=1e-4) for at in range(3))
    rows = [
        replace(row, passes={name: replace(each, kernels=named, peak_source=text) for name, each in row.passes.items()})
        for row in rows
    ]
    rows.append(samples.skip(problem(512), first, reason=text))
    rows.append(Failure(problem=problem(1024), contender=second, status="ERROR", stage=text, reason=text))
    return run, rows


def rendered(text: str) -> Parsed:
    """The page of such a run."""
    return Parsed(html.render(*all_texts(text)))
