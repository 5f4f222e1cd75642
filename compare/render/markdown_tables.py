"""The two tables of results: contenders side by side, and each contender in the seed's own columns."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.memory import seed_memory
from compare.analysis.text import kind_of
from compare.profile.kinds import NOT_NAIVE
from compare.render.markdown_text import code, escape, section, table
from compare.results.rows import by_contender, by_problem, measurements, outcome_of, passes_of
from compare.schema.records import RESIDENT, Contender, Measurement, PassName, Problem, Row, Skip
from compare.stats.estimates import device_time, ratio
from compare.stats.verdicts import verdict

Group = tuple[Problem, list[Row]]
SEED_COLUMNS = (
    ">d_model",
    ">seq_len",
    ">batch_size",
    ">Forward (ms)",
    ">Backward (ms)",
    ">Forward Memory (MB)",
    ">Backward Memory (MB)",
    ">Attention Matrix (MB)",
    "Status",
)
FORMULA_COLUMNS = (">Forward by formula (MB)", ">Backward by formula (MB)")


def side_by_side(rows: Sequence[Row], same_within: float) -> str:
    """One table per batch, mask, dtype and precision where that makes fewer tables than problems, else one in all."""
    groups = by_problem(rows)
    if not groups:
        return section("Side by side", "Nothing was measured.")
    kinds: dict[Hashable, list[Group]] = {}
    for group in groups:
        kinds.setdefault((kind_of(group[0]), group[0].batch), []).append(group)
    passes = passes_of(rows)
    intro = "Device time in ms with its 95% interval, and below it the ratio to the reference and the verdict."
    if len(kinds) == len(groups):
        return section(
            "Side by side", intro, reference_lines(groups), group_table(groups, passes, same_within, whole_label=True)
        )
    tables = [part for found in kinds.values() for part in (*titled(found), group_table(found, passes, same_within))]
    return section("Side by side", intro, reference_lines(groups), *tables)


def titled(groups: Sequence[Group]) -> list[str]:
    """The heading of one table."""
    problem = groups[0][0]
    return [f"### {escape(kind_of(problem))}, B={problem.batch}"]


def reference_lines(groups: Sequence[Group]) -> str:
    """What the ratios mean; which contender is the reference where it is the same for all."""
    references = [circumstances.reference_row(rows) for _, rows in groups]
    names = list(dict.fromkeys(row.contender.name for row in references if row))
    if not names:
        return "There is no ratio: no problem has two contenders to compare."
    which = code(names[0]) if len(names) == 1 else "the row marked ref"
    return f"Ratio: time / time of the reference (ref), which is {which}; below 1 is faster."


def group_table(
    groups: Sequence[Group], passes: Sequence[PassName], same_within: float, whole_label: bool = False
) -> str:
    """One row per problem and contender; the problem is named in its first row only."""
    columns = ["Problem", "Contender", *(f">{name} (ms)" for name in passes), ">peak (MB)", ">saved (MB)"]
    lines = [line for group in groups for line in group_lines(group, passes, same_within, whole_label)]
    return table([*columns, "numbers", "status"], lines)


def group_lines(group: Group, passes: Sequence[PassName], same_within: float, whole_label: bool) -> list[list[str]]:
    """The lines of one problem."""
    problem, rows = group
    reference = circumstances.reference_row(rows)
    label = problem.label if whole_label else sizes(problem)
    labels = [f"**{escape(label)}**", *[""] * (len(rows) - 1)]
    return [[label, *side_cells(row, reference, passes, same_within)] for label, row in zip(labels, rows, strict=True)]


def sizes(problem: Problem) -> str:
    """The sizes of a problem besides its batch."""
    return problem.label.split(f" {problem.mask} ")[0].removeprefix(f"B={problem.batch} ")


def side_cells(row: Row, reference: Measurement | None, passes: Sequence[PassName], same_within: float) -> list[str]:
    """Contender, times, memory, verdict and status of one row."""
    ran = f"<br>ran {code(row.ran)}" if isinstance(row, Measurement) and row.ran else ""
    name = code(row.contender.name) + (" ref" if row is reference else "") + ran
    if not isinstance(row, Measurement):
        return [name, *[fmt.NONE] * (len(passes) + 3), status(row)]
    memory = [circumstances.peak(row.passes.values()), fmt.megabytes(row.saved_bytes)]
    times = [time_cell(row, reference, name, same_within) for name in passes]
    return [name, *times, *memory, circumstances.result_word(row), status(row)]


def time_cell(row: Measurement, reference: Measurement | None, name: PassName, same_within: float) -> str:
    """Device time over its ratio over the verdict, or over why there is none."""
    if name not in row.passes:
        return fmt.NONE
    relative = ratio(row, reference, name)
    said = f"{fmt.ratio(relative)}<br>{verdict(relative, same_within)}" if relative else ""
    below = said or circumstances.ratio_word(row, reference)
    return fmt.time(device_time(row.passes[name])) + (f"<br>{below}" if below else "")


def status(row: Row) -> str:
    """The outcome with its sign, the seed's way."""
    if isinstance(row, Skip):
        return f"⏭ skip: {escape(row.reason)}"
    if not isinstance(row, Measurement):
        return f"❌ {escape(outcome_of(row))}"
    if circumstances.result_word(row) == "WRONG":
        return "❌ WRONG"
    if row.agreement is None:
        return "❔ not judged"
    return "✅ OK" + (", alone" if row.alone else "") + warned(row)


def warned(row: Measurement) -> str:
    """That it did not run naively, and how many other warnings the row has."""
    others = sum(notice.code != NOT_NAIVE for notice in row.warnings)
    fused = ", not naive (see warnings)" if others < len(row.warnings) else ""
    return fused + (f", {fmt.plural(others, 'warning')}" if others else "")


def seed_tables(rows: Sequence[Row]) -> str:
    """One table per contender, divided where more than d_model, seq_len and batch differs between its problems."""
    note = (
        "Times are device times. Memory is measured: Forward = inputs + forward peak, Backward = inputs + output + dO "
        "+ saved + backward peak. By formula: Forward = inputs + attention matrix + output, Backward = Forward + "
        "a second attention matrix. MB = 10^6 bytes."
    )
    if any(each.peak_source == RESIDENT for row in measurements(rows) for each in row.passes.values()):
        note += " Growth of resident memory stands in for some of JAX's peaks: results.jsonl says for which passes."
    tables = [part for contender, found in by_contender(rows) for part in contender_tables(contender, found)]
    return section("Detailed results", note, *tables) if tables else ""


def contender_tables(contender: Contender, rows: Sequence[Row]) -> list[str]:
    """Headings and tables of one contender."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(seed_kind(row.problem), []).append(row)
    columns = (*SEED_COLUMNS, *FORMULA_COLUMNS)
    divided = [(f"{escape(kind)}:", table(columns, map(seed_line, found))) for kind, found in kinds.items()]
    return [f"### {code(contender.name)}", *(part for pair in divided for part in pair)]


def seed_kind(problem: Problem) -> str:
    """All of a problem that the seed's columns do not tell."""
    keys = "" if problem.q_len == problem.kv_len else f", S={problem.kv_len}"
    heads = f"N={problem.heads}" + ("" if problem.heads == problem.kv_heads else f" K={problem.kv_heads}")
    stack = f", L={problem.layers}" if problem.layers > 1 else ""
    layout = f", {problem.layout}" if problem.layout != "btnh" else ""
    return f"{kind_of(problem)}, {heads}{keys}{stack}{layout}"


def seed_line(row: Row) -> list[str]:
    """One line in the seed's columns, then the seed's formula."""
    problem, memory = row.problem, seed_memory(row)
    times = [seed_time(row, "forward"), seed_time(row, "backward")]
    sizes = [memory.forward, memory.backward, memory.matrix]
    formula = [memory.formula_forward, memory.formula_backward]
    return [
        *map(str, (problem.d_model, problem.q_len, problem.batch)),
        *times,
        *map(fmt.megabytes, sizes),
        status(row),
        *map(fmt.megabytes, formula),
    ]


def seed_time(row: Row, name: PassName) -> str:
    """Device time of one pass, or a dash."""
    if not isinstance(row, Measurement) or name not in row.passes:
        return fmt.NONE
    return fmt.time(device_time(row.passes[name]))
