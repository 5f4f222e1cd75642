"""Detailed results: a table for each contender in the columns of the starting document."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.columns import marks_of
from compare.analysis.memory import seed_memory
from compare.analysis.sections import Column, Section, Table, code, number, plain
from compare.analysis.text import kind_of
from compare.results.rows import by_contender, measurements, outcome_of
from compare.schema.records import RESIDENT, Contender, Measurement, PassName, Problem, Row, Run, Skip
from compare.stats.estimates import device_time

ORDER = 50
COLUMNS = (
    number("d_model"),
    number("seq_len"),
    number("batch_size"),
    number("Forward", "ms"),
    number("Backward", "ms"),
    number("Forward Memory", "MB"),
    number("Backward Memory", "MB"),
    number("Attention Matrix", "MB"),
    Column("Status"),
    number("Forward by formula", "MB"),
    number("Backward by formula", "MB"),
)
NOTE = (
    "Times are device times. Memory is measured: Forward = inputs + forward peak, Backward = inputs + output + dO "
    "+ saved + backward peak. By formula: Forward = inputs + attention matrix + output, Backward = Forward + "
    "a second attention matrix. MB = 10^6 bytes."
)
RESIDENT_NOTE = "Growth of resident memory stands in for some of JAX's peaks: results.jsonl says for which passes."


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """One table per contender, divided where more than d_model, seq_len and batch differs between its problems."""
    resident = any(result.peak_source == RESIDENT for row in measurements(rows) for result in row.passes.values())
    said = [NOTE, RESIDENT_NOTE if resident else ""]
    tables = [table for contender, group in by_contender(rows) for table in tables_of(contender, group)]
    return [Section("Detailed results", said, tables)] if tables else []


def tables_of(contender: Contender, rows: Sequence[Row]) -> list[Table]:
    """The tables of one contender."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(described(row.problem), []).append(row)
    return [
        Table(COLUMNS, [line(row) for row in group], f"{code(contender.name)}: {kind}") for kind, group in kinds.items()
    ]


def described(problem: Problem) -> str:
    """All of a problem that the columns do not tell."""
    keys = "" if problem.q_len == problem.kv_len else f", S={problem.kv_len}"
    heads = f"N={problem.heads}" + ("" if problem.heads == problem.kv_heads else f" K={problem.kv_heads}")
    stack = f", L={problem.layers}" if problem.layers > 1 else ""
    layout = f", {problem.layout}" if problem.layout != "btnh" else ""
    return f"{kind_of(problem)}, {heads}{keys}{stack}{layout}"


def line(row: Row) -> list[str]:
    """One row in the order of COLUMNS."""
    problem, memory = row.problem, seed_memory(row)
    return [
        *map(str, (problem.d_model, problem.q_len, problem.batch)),
        *(time(row, name) for name in ("forward", "backward")),
        *map(fmt.megabytes, (memory.forward, memory.backward, memory.matrix)),
        status(row),
        *map(fmt.megabytes, (memory.formula_forward, memory.formula_backward)),
    ]


def time(row: Row, name: PassName) -> str:
    """Device time of one pass, or a dash."""
    if not isinstance(row, Measurement) or name not in row.passes:
        return fmt.NONE
    return fmt.time(device_time(row.passes[name]))


def status(row: Row) -> str:
    """The outcome with its sign, as in the starting document."""
    if isinstance(row, Skip):
        return f"⏭ skip: {plain(row.reason)}"
    if not isinstance(row, Measurement):
        return f"❌ {plain(outcome_of(row))}"
    if circumstances.result_word(row) == "WRONG":
        return "❌ WRONG"
    if row.agreement is None:
        return "❔ not verified"
    return ", ".join(["✅ OK", *marks_of(row)])
