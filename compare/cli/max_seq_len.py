"""``--max-seq-len`` from plan to report: progress, the table, and two files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.console import Console

from compare.analysis import longest
from compare.cli.study import run_record, terminable
from compare.measure.search import RECORDS, Reach, Search
from compare.plan.cases import Plan
from compare.render import markdown_text, terminal
from compare.schema.records import Run

REPORT = "max_seq_len.md"


def run(plan: Plan, most: int, console: Console) -> bool:
    """Search, show and write; every answer is written as it comes.  Returns whether it was interrupted."""
    if plan.note:
        console.print(plan.note, markup=False)
    found: list[Reach] = []
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="compare-") as folder, terminable():
        record, search = run_record(plan, Path(folder)), Search(plan, most, Path(folder), narrator(console))
        try:
            for each in search.run():
                found.append(each)
                said = f"{each.contender.name}, {each.pass_name}: {longest.longest(each)} positions"
                console.print(said, highlight=False, markup=False)
                write(replace(record, backends=tuple(search.reports)), found, plan.out)
        except KeyboardInterrupt:
            interrupted = True
            console.print("interrupted: the finished answers are kept")
    terminal.show(longest.sections(found), console)
    console.print(f"\n{plan.out / RECORDS}\n{plan.out / REPORT}", highlight=False, markup=False, soft_wrap=True)
    return interrupted


def narrator(console: Console) -> Callable[[str], None]:
    """Each try as a line of its own; on a terminal they overwrite each other."""
    if not console.is_terminal:
        return lambda text: console.print(text, style="dim", highlight=False, markup=False)
    return lambda text: console.print(text.ljust(console.width - 1)[: console.width - 1], end="\r", markup=False)


def write(record: Run, found: Sequence[Reach], out: Path) -> None:
    """Rewrite both files."""
    encoder = msgspec.json.Encoder()
    text = b"".join(encoder.encode(each) + b"\n" for each in (record, *found))
    (out / RECORDS).write_bytes(text)
    page = markdown_text.page(longest.TITLE, [longest.about(record), *longest.sections(found)])
    (out / REPORT).write_text(page, encoding="utf-8")
