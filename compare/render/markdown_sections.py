"""The other Markdown sections: circumstances, times over all problems, verdicts, costs, warnings, missing rows."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances, noise
from compare.analysis import text as fmt
from compare.analysis import times as verdict_words
from compare.analysis.times import Compared, Spread, counts, spreads
from compare.render.markdown_text import bullets, code, escape, section, table
from compare.results.rows import by_problem, measurements, passes_of
from compare.schema.records import Measurement, PassName, Row, Run, Settings
from compare.stats.estimates import device_time, wall_time
from compare.stats.verdicts import VERDICTS, advice


def heading(run: Run, rows: Sequence[Row], shown: str = "") -> str:
    """Title, circumstances, and the environment folded away."""
    known = [(escape(name), escape(value)) for name, value in circumstances.facts(run, rows, shown)]
    host = [(escape(name), escape(value)) for name, value in run.host.items()]
    flags = [
        (f"{escape(report.backend)} {escape(name)}", escape(value))
        for report in run.backends
        for name, value in report.flags.items()
    ]
    title = f"# Attention benchmark: {escape(' and '.join(report.backend for report in run.backends) or 'no backend')}"
    parts = [title, table(("Setting", "Value"), known), folded("Host and flags", host + flags), environment(run)]
    return "\n\n".join(part for part in parts if part)


def environment(run: Run) -> str:
    """The environment variables of each worker."""
    lines = [
        (code(backend), code(f"{name}={value}"))
        for backend, variables in run.environment.items()
        for name, value in variables.items()
    ]
    return folded("Environment variables", lines, ("By", "Variable"))


def folded(title: str, lines: Sequence[Sequence[str]], columns: Sequence[str] = ("Name", "Value")) -> str:
    """A table that opens on a click; nothing where it would be empty."""
    if not lines:
        return ""
    return f"<details>\n<summary>{title}</summary>\n\n{table(columns, lines)}\n\n</details>"


def verdicts(found: Sequence[Compared], settings: Settings) -> str:
    """How often each contender was what, and for every undecided comparison what would decide it."""
    if not found:
        return ""
    columns = ("Contender", "Pass", *(f">{word}" for word in VERDICTS))
    tally = [
        [code(contender.name), name, *(str(words[word]) for word in VERDICTS)]
        for (contender, name), words in counts(found).items()
    ]
    same_within = settings.same_within
    open_ = [undecided_line(each, same_within) for each in found if each.verdict == "UNDECIDED"]
    what = ("Problem", "Contender", "Pass", ">Ratio", "What would decide it")
    undecided = ["Undecided:", table(what, open_)] if open_ else []
    note = escape(verdict_words.verdict_note(same_within))
    turned = [escape(line) for line in verdict_words.wall_lines(found)]
    wall = [escape(verdict_words.WALL_NOTE), bullets(turned)] if turned else []
    few = [escape(line) for line in verdict_words.cautions(found, settings)]
    return section("Verdicts", note, table(columns, tally), *few, *wall, *undecided, *by_process(found))


def by_process(found: Sequence[Compared]) -> list[str]:
    """How far processes differ, and each comparison's lowest and highest one, folded away."""
    several = [each for each in found if each.ratio.by_process]
    if not several:
        return []
    columns = ("Problem", "Contender", "Pass", ">Ratio", ">Lowest process", ">Highest process")
    lines = [process_line(each) for each in several]
    return [escape(verdict_words.process_note(several)), folded("Ratios by process", lines, columns)]


def process_line(each: Compared) -> list[str]:
    """One line of the table of ratios by process."""
    where = (escape(each.problem.label), code(each.contender.name), each.pass_name)
    ends = (min(each.ratio.by_process), max(each.ratio.by_process))
    return [*where, fmt.ratio(each.ratio), *(f"{end:.3f}x" for end in ends)]


def undecided_line(each: Compared, same_within: float) -> list[str]:
    """One line of the table of undecided comparisons."""
    where = (escape(each.problem.label), code(each.contender.name), each.pass_name)
    return [*where, fmt.ratio(each.ratio), advice(each.ratio, same_within)]


def performance(rows: Sequence[Row]) -> str:
    """Fastest, median and slowest of each pass of each contender."""
    columns = ("Contender", "Pass", ">Problems", ">Fastest", ">Median", ">Slowest", "Fastest at", "Slowest at")
    note = (
        "Device time over the problems whose numbers agree. The median stands where an average might: over problems of "
        "unlike size an average tells of the largest one only."
    )
    lines = [spread_line(spread) for spread in spreads(rows)]
    return section("Performance summary", note, table(columns, lines) if lines else "No row has numbers that agree.")


def spread_line(spread: Spread) -> list[str]:
    """One line of the performance summary."""
    times = map(fmt.duration, (spread.fastest_s, spread.median_s, spread.slowest_s))
    where = (escape(spread.fastest.label), escape(spread.slowest.label))
    return [code(spread.contender.name), spread.pass_name, str(spread.problems), *times, *where]


def timed(rows: Sequence[Row], same_within: float) -> str:
    """What the numbers are."""
    lines = [escape(line) for line in circumstances.timing_notes(rows, same_within)]
    return section("What was and was not timed", bullets(lines) or "Nothing was measured.")


def wall(rows: Sequence[Row]) -> str:
    """Wall time beside device time; the difference is launches, Python and idle gaps."""
    passes = passes_of(rows)
    if not passes:
        return ""
    columns = [f">{name} {clock} (ms)" for name in passes for clock in ("device", "wall")]
    note = "Wall time holds what device time leaves out: launches, Python, and gaps between kernels."
    lines = [line for _, group in by_problem(rows) for line in wall_lines(measurements(group), passes)]
    return section("Wall time beside device time", note, table(["Problem", "Contender", *columns], lines))


def wall_lines(rows: Sequence[Measurement], passes: Sequence[PassName]) -> list[list[str]]:
    """The lines of one problem, which is named in the first only."""
    labels = [f"**{escape(row.problem.label)}**" if row is rows[0] else "" for row in rows]
    return [[label, *wall_line(row, passes)] for label, row in zip(labels, rows, strict=True)]


def wall_line(row: Measurement, passes: Sequence[PassName]) -> list[str]:
    """Both clocks of each pass of one row."""
    found = [row.passes.get(name) for name in passes]
    times = [(fmt.time(device_time(r)), fmt.time(wall_time(r))) if r else (fmt.NONE, fmt.NONE) for r in found]
    return [code(row.contender.name), *(cell for pair in times for cell in pair)]


def warnings(rows: Sequence[Row]) -> str:
    """The distinct warnings, or that there are none."""
    lines = [escape(circumstances.warning_line(noted)) for noted in noise.warnings(rows)]
    return section("Warnings", bullets(lines) or "None.")


def unmeasured(rows: Sequence[Row]) -> str:
    """The rows without numbers and why, or that there are none."""
    lines = [escape(circumstances.unmeasured_line(line)) for line in noise.unmeasured(rows)]
    return section("Skipped and failed", bullets(lines) or "None.")
