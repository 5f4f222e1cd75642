"""A study as reports: tables on the terminal, and files beside the results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from compare.analysis import circumstances, kernels, times
from compare.analysis.sections import Section
from compare.measure import traces
from compare.plan.values import Format
from compare.render import csv_table, markdown, markdown_text, terminal
from compare.render.markdown_text import escape
from compare.results import machines, store
from compare.schema.records import Row, Run

if TYPE_CHECKING:
    from compare.render.plots.style import Picture


class Screen(Console):
    """Rich's console without pictures for words such as ``:ring:``, which leaves a closed pipe to the program."""

    def __init__(self) -> None:
        super().__init__(emoji=False)

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError, in place of an exit with code 1, which means something else here."""
        raise BrokenPipeError


FILES: dict[Format, str] = {"markdown": store.REPORT, "html": "report.html", "csv": "report.csv"}
NEEDS: dict[Format, tuple[str, ...]] = {"html": ("jinja2", "markdown_it")}
PICTURED: set[Format] = {"markdown", "html"}
AFTER_A_RUN: tuple[Format, ...] = ("markdown", "html")
INSTALL = "install the extra: pip install -e '.[plots]'"
NO_PICTURES = f"without pictures: matplotlib is not installed ({INSTALL})"


def answer(title: str, sections: Sequence[Section], form: str) -> None:
    """A page on the terminal, or as Markdown on standard output."""
    if form == "markdown":
        print(markdown_text.page(title, sections), end="")
    else:
        terminal.show(sections, Screen())


def publish(run: Run, rows: Sequence[Row], out: Path, console: Console, explain: bool = False) -> None:
    """After a run: the tables on the terminal, with ``explain`` also why times differ, and the files of a report."""
    show(run, rows, console, explain)
    written = write(run, rows, out, AFTER_A_RUN)
    kept = [str(out / traces.FOLDER)] * (out / traces.FOLDER).is_dir()
    name_files([str(out / store.RESULTS), *written, *kept], console)


def show(run: Run, rows: Sequence[Row], console: Console, explain: bool = False) -> None:
    """The tables on the terminal, of each kind of machine by themselves."""
    parts = machines.parts(run, rows)
    if len(parts) > 1 and (incomplete := circumstances.incomplete(run, rows)):
        console.print(f"{circumstances.ON_ALL_KINDS}: {incomplete}")
    for at, (part, found) in enumerate(parts, 1):
        if len(parts) > 1:
            console.rule(circumstances.kind_of_machine(part, at, len(parts)), align="left")
        terminal.render(part, found, console)
        if explain:
            terminal.show(kernels.sections(part, times.first(found, terminal.SHOWN)), console, folded=True)


def write(run: Run, rows: Sequence[Row], out: Path, formats: Collection[Format]) -> list[str]:
    """The files of a report, for each kind of machine in a folder of its own where there are several.

    Returns which they are, and what is missing because an extra is not installed.
    """
    parts = machines.parts(run, rows)
    said: list[str] = []
    for at, (part, found) in enumerate(parts, 1):
        folder = out / f"kind-of-machine-{at}" if len(parts) > 1 else out
        folder.mkdir(exist_ok=True)
        kind = circumstances.kind_of_machine(part, at, len(parts)) if len(parts) > 1 else ""
        said += files_of(part, found, folder, formats, kind)
    lacks = [NO_PICTURES] * bool(PICTURED & set(formats) and not installed("matplotlib"))
    return list(dict.fromkeys(said + lacks))


def files_of(run: Run, rows: Sequence[Row], out: Path, formats: Collection[Format], kind: str = "") -> list[str]:
    """The files of rows that may all be compared; ``kind``: of which machines they are."""
    drawn = pictures(run, rows) if PICTURED & set(formats) else []
    if "markdown" in formats:
        write_pictures(drawn, out / markdown.PICTURE_FOLDER)
    problems = [row.problem for row in times.first(rows, markdown.SHOWN)]
    kept = markdown.traced(traces.filed(problems, out))
    missing = {name: lacking(name) for name in FILES if name in formats}
    for name in missing:
        if not missing[name]:
            (out / FILES[name]).write_text(text(name, run, rows, drawn, kind, kept), encoding="utf-8", newline="")
    return [missing[name] or str(out / FILES[name]) for name in missing]


def write_pictures(drawn: Sequence[Picture], folder: Path) -> None:
    """Each picture in both formats, in a folder that is made where there is one to write."""
    for each in drawn:
        folder.mkdir(exist_ok=True)
        (folder / f"{each.name}.png").write_bytes(each.png())
        (folder / f"{each.name}.svg").write_text(each.svg, encoding="utf-8")


def text(
    name: Format, run: Run, rows: Sequence[Row], drawn: Sequence[Picture] = (), kind: str = "", kept: str = ""
) -> str:
    """A report in one format that is a file; ``kept`` is its section of traces."""
    if name == "csv":
        return csv_table.render(run, rows)
    if name == "html":
        from compare.render import html

        return html.render(run, rows, [(each.name, each.title, each.caption, each.svg) for each in drawn], kept)
    named = [(each.name, each.title, each.caption) for each in drawn]
    page = markdown.render(run, rows, markdown.pictured(named), kept)
    return f"**{escape(kind)}**\n\n{page}" if kind else page


def pictures(run: Run, rows: Sequence[Row]) -> list[Picture]:
    """All pictures; none where Matplotlib is not installed."""
    if not installed("matplotlib"):
        return []
    from compare.render.plots import drawing

    return drawing.draw(run, times.first(rows, markdown.SHOWN))


def lacking(name: Format) -> str:
    """Why a format cannot be had here; empty where it can."""
    absent = [module for module in NEEDS.get(name, ()) if not installed(module)]
    verb = "is" if len(absent) == 1 else "are"
    return f"without {FILES[name]}: {' and '.join(absent)} {verb} not installed ({INSTALL})" if absent else ""


def installed(module: str) -> bool:
    """Whether a module that is an extra can be imported."""
    return find_spec(module) is not None


def name_files(lines: Sequence[str], console: Console) -> None:
    """Where everything is."""
    console.print("\n" + "\n".join(lines), highlight=False, markup=False, soft_wrap=True)
