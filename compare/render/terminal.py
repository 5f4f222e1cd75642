"""Rich tables on the terminal: readable at 80 columns, with more beside it where there is room.

A cell has three lines, time over ratio over verdict.  Colour repeats what a word already says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compare.analysis import accuracy, circumstances, memory, noise, roofline, sections, solutions, times
from compare.analysis import text as fmt
from compare.analysis.notices import worded
from compare.analysis.times import Extent, compared
from compare.machine.load import BUSY_MACHINE
from compare.profile.kinds import NOT_NAIVE
from compare.results.rows import by_problem, measurements
from compare.schema.records import Measurement, PassName, Row, Run, Settings
from compare.stats.estimates import device_time, ratio, wall_time
from compare.stats.verdicts import verdict

SHOWN = Extent(150, 150)
WIDE = 155  # the columns that the wide layout needs; the narrow one needs 80
TIME_WIDTH = 12
NAME_WIDTHS = {False: 19, True: 26}
SHARED_COLUMNS = {
    False: [("peak\nMB", 6), ("saved\nMB", 6)],
    True: [("saved\nMB", 8), ("error /\nallowed", 9)],
}
SECTION_NAME_WIDTH = 20
VERDICT_STYLES = {"FASTER": "green", "SLOWER": "red", "SAME": "", "UNDECIDED": "dim"}
STYLES = {"ok": "green", "WRONG": "bold red", "skip": "yellow", "unknown": "dim"}


def problem_table(rows: Sequence[Row], width: int, settings: Settings, notes: bool = True) -> Table:
    """The table of one problem, one row per contender.

    ``notes`` says below the table what the ratio means and why a row has no numbers.
    """
    wide, reference = width >= WIDE, circumstances.reference_row(rows)
    table = empty_table(rows[0].problem.label if rows else "", wide, settings.passes)
    for row in rows:
        table.add_row(*cells(row, reference, wide, settings))
    if notes:
        table.caption = Text("\n".join(["", *table_notes(rows, reference)]))
    return table


def table_notes(rows: Sequence[Row], reference: Measurement | None) -> list[str]:
    """The lines below one table."""
    reasons = [circumstances.without_numbers(row) for row in rows if not isinstance(row, Measurement)]
    noted = (notice for row in measurements(rows) for notice in row.warnings if notice.code == BUSY_MACHINE)
    withheld = dict.fromkeys(f"No verdicts: {worded(notice)}." for notice in noted)
    return [line for line in (circumstances.reference_note(reference), *withheld, *reasons) if line]


def empty_table(title: str, wide: bool, passes: Sequence[PassName]) -> Table:
    """Heading and columns; their widths are fixed, so that the tables of all problems line up."""
    table = Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.title_justify = table.caption_justify = "left"
    table.header_style = table.caption_style = "dim"
    table.add_column("contender", width=NAME_WIDTHS[wide], overflow="fold")
    for heading, size in [column for name in passes for column in pass_columns(name, wide)]:
        table.add_column(heading, justify="right", width=size)
    for heading, size in SHARED_COLUMNS[wide]:
        table.add_column(heading, justify="right", width=size)
    table.add_column("result", width=7)
    return table


def pass_columns(name: PassName, wide: bool) -> list[tuple[str, int]]:
    """Headings and widths of the columns of one pass."""
    device = (f"{name}\nms, ratio", TIME_WIDTH)
    return [device, ("wall ms,\nkernels", TIME_WIDTH), ("peak\nMB", 7)] if wide else [device]


def cells(row: Row, reference: Measurement | None, wide: bool, settings: Settings) -> list[Text | str]:
    """One row of the table; a row without numbers has its name and its outcome only."""
    shown = name_cell(row, reference, NAME_WIDTHS[wide])
    if not isinstance(row, Measurement):
        blanks = len(settings.passes) * len(pass_columns("step", wide)) + len(SHARED_COLUMNS[wide])
        return [shown, *[fmt.NONE] * blanks, result_cell(row)]
    timed = [cell for name in settings.passes for cell in pass_cells(row, reference, name, wide, settings)]
    return [shown, *timed, *shared_cells(row, wide), result_cell(row)]


def name_cell(row: Row, reference: Measurement | None, width: int) -> Text:
    """The contender over what is special about its row, in words."""
    name = fmt.broken(fmt.one_line(row.contender.name), width)
    marks = [word for word, holds in marks_of(row, reference) if holds]
    return Text.assemble(name, *[("\n" + ", ".join(marks), "dim")] if marks else [])


def marks_of(row: Row, reference: Measurement | None) -> list[tuple[str, bool]]:
    """Words that may stand below a contender's name, and whether they do."""
    if not isinstance(row, Measurement):
        return []
    fused = any(notice.code == NOT_NAIVE for notice in row.warnings)
    count = sum(notice.code != NOT_NAIVE for notice in row.warnings)
    marks = [("ref", row is reference), (row.ran, bool(row.ran)), ("alone", row.alone), ("not naive", fused)]
    return [*marks, (fmt.plural(count, "warning"), count > 0)]


def pass_cells(
    row: Measurement, reference: Measurement | None, name: PassName, wide: bool, settings: Settings
) -> list[Text | str]:
    """The cells of one pass."""
    if name not in row.passes:
        return [fmt.NONE] * len(pass_columns(name, wide))
    result = row.passes[name]
    device = device_cell(row, reference, name, settings.same_within)
    if not wide:
        return [device]
    count = sum(kernel.count for kernel in result.kernels)
    kernels = fmt.plural(count, "kernel") if settings.device == "gpu" else ""  # ops of a CPU nest: no count to compare
    wall = Text.assemble(fitted(fmt.time(wall_time(result))), ("\n" + kernels, "dim"))
    return [device, wall, circumstances.peak([result])]


def device_cell(row: Measurement, reference: Measurement | None, name: PassName, same_within: float) -> Text:
    """Device time over its ratio to the reference over the verdict."""
    time = fitted(fmt.time(device_time(row.passes[name])))
    relative = ratio(row, reference, name)
    if relative is None:
        return Text.assemble(time, ("\n" + circumstances.ratio_word(row, reference), "dim"))
    word = verdict(relative, same_within)
    return Text.assemble(time, "\n" + fmt.ratio(relative).replace(" [", "\n[") + "\n", (word, VERDICT_STYLES[word]))


def fitted(time: str) -> str:
    """A time and its interval in one line of the column: without the space between them where it is one too long."""
    return time.replace(" ", "") if len(time) == TIME_WIDTH + 1 else time


def shared_cells(row: Measurement, wide: bool) -> list[str]:
    """The cells that concern all passes: memory, and when wide the error beside what is allowed."""
    saved = fmt.megabytes(row.saved_bytes)
    if not wide:
        return [circumstances.peak(row.passes.values()), saved]
    worst = accuracy.worst_of(row)
    return [saved, f"{fmt.error(worst.max_error)}\n{fmt.error(worst.allowed_max)}" if worst else fmt.NONE]


def result_cell(row: Row) -> Text:
    """The outcome over why sampling stopped."""
    word = circumstances.result_word(row)
    stopped = f"\n{row.stopped}" if isinstance(row, Measurement) else ""
    return Text.assemble((word, STYLES.get(word, "bold red")), (stopped, "dim"))


def render(run: Run, rows: Sequence[Row], console: Console) -> None:
    """The whole report: circumstances, one table per problem, what was timed, warnings, rows without numbers."""
    print_facts(run, rows, console)
    rows = times.first(rows, SHOWN)
    print_tables(rows, run.settings, console)
    found = compared(rows, run.settings.same_within)
    said = times.verdict_lines(found) + times.cautions(found, run.settings)
    print_list("Verdicts", said, console)
    print_briefs(accuracy.sections(run, rows), console)
    turned = times.wall_lines(found)
    print_list("Against the wall clock", [times.WALL_NOTE, *turned] if turned else [], console)
    several = [each for each in found if each.ratio.by_process]
    print_list("Processes", [times.process_note(several)] if several else [], console)
    print_briefs([*solutions.sections(run, rows), *memory.sections(run, rows)], console)
    print_list("Floor", roofline.summary(run, rows), console)
    print_list("What was timed", circumstances.timing_notes(rows, run.settings.same_within), console)
    print_list("Warnings", [circumstances.warning_line(noted) for noted in noise.warnings(rows)], console)
    print_list("Skipped and failed", [circumstances.unmeasured_line(line) for line in noise.unmeasured(rows)], console)


def print_facts(run: Run, rows: Sequence[Row], console: Console) -> None:
    """Two columns, name and value."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in circumstances.facts(run, rows, times.left_out(rows, SHOWN)):
        table.add_row(Text(name), Text(value))
    console.print(table)


def print_tables(rows: Sequence[Row], settings: Settings, console: Console) -> None:
    """One table per problem in one layout; what the ratio means is said again only where the reference changes."""
    said = ""
    if not rows:
        console.print("\nNothing was measured.")
    for _, group in by_problem(rows):
        note = circumstances.reference_note(circumstances.reference_row(group))
        if note and note != said:
            console.print(Padding(Text(note, style="italic"), (1, 0, 0, 0)))
            said = note
        console.print()
        console.print(problem_table(group, console.width, settings, notes=False))


def print_briefs(found: Iterable[sections.Section], console: Console) -> None:
    """What each section says in brief, those without it left out."""
    for part in found:
        print_list(part.title, map(unmarked, part.brief), console)


def print_list(title: str, lines: Iterable[str], console: Console) -> None:
    """A heading and its points, or nothing where there are none."""
    points = bulleted(lines)
    if points.row_count:
        console.print(Padding(Text(title, style="bold"), (1, 0, 0, 0)))
        console.print(Padding(points, (0, 0, 0, 1)))


def bulleted(lines: Iterable[str]) -> Table:
    """Points, one below the other."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("•", Text(line))
    return table


def show(found: Sequence[sections.Section], console: Console) -> None:
    """Sections on the terminal; those that say nothing, and tables that are folded away, are left out."""
    for part in (part for part in found if not part.empty):
        console.print(Padding(Text(part.title, style="bold"), (1, 0, 0, 0)))
        for sentence in filter(None, part.sentences):
            console.print(Text(unmarked(sentence)))
        for each in part.tables:
            if each.rows and not each.folded:
                console.print(section_table(each))
        if part.points:
            console.print(Padding(bulleted(map(unmarked, part.points)), (0, 0, 0, 1)))


def section_table(found: sections.Table) -> Table:
    """The table; its first column, a name, breaks where a name may, and within a word only if that is wider still."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    if found.title:
        shown.title, shown.title_justify, shown.title_style = unmarked(found.title), "left", "bold"
    for at, column in enumerate(found.columns):
        heading = f"{column.name}\n{column.unit}" if column.unit else column.name
        shown.add_column(heading, justify=column.align, overflow="fold", max_width=None if at else SECTION_NAME_WIDTH)
    before = ""
    for name, *rest in found.rows:
        first = "" if found.grouped and name == before else fmt.broken(unmarked(name), SECTION_NAME_WIDTH)
        shown.add_row(Text(first), *(Text(cell.replace("`", "").replace(" [", "\n[")) for cell in rest))
        before = name
    return shown


def unmarked(text: str) -> str:
    """A text of an analysis without its marks, on one line."""
    return fmt.one_line(text.replace("`", ""))
