"""The section on solutions: each remedy for the O(T^2) wall beside naive float32 attention, as measured."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis import circumstances
from compare.analysis import solutions as solution_words
from compare.analysis import text as fmt
from compare.analysis.solutions import Solution, by_sizes, for_memory, for_time, solutions
from compare.render.markdown_sections import folded
from compare.render.markdown_tables import kind_of
from compare.render.markdown_text import code, escape, section, table
from compare.schema.records import PASSES, PassName, Row


def solved(rows: Sequence[Row]) -> str:
    """Two tables of the largest size, sorted by memory and by time, and those of the other sizes folded away."""
    groups = by_sizes(solutions(rows))
    if not groups:
        return ""
    largest, *others = groups
    return section(
        "Solutions",
        escape(solution_words.NOTE),
        f"### Where memory is short: {titled(largest)}",
        table(columns(largest), [line(each, largest) for each in for_memory(largest)]),
        "### Where time is short",
        table(columns(largest), [line(each, largest) for each in for_time(largest)]),
        *(folded(titled(group), [line(each, group) for each in for_memory(group)], columns(group)) for group in others),
    )


def titled(group: Sequence[Solution]) -> str:
    """The sizes of a group, and what it is held against."""
    return escape(f"{solution_words.sizes(group)}, against {solution_words.bases(group)}")


def columns(group: Sequence[Solution]) -> list[str]:
    """Headings, with the passes that were measured."""
    times = [f">{name}" for name in passes(group)]
    return ["Remedy", "Contender", "Problem", *times, ">peak", ">saved", ">error", "function"]


def passes(group: Sequence[Solution]) -> list[PassName]:
    """The passes that at least one solution has."""
    return [name for name in PASSES if any(name in each.times for each in group)]


def line(each: Solution, group: Sequence[Solution]) -> list[str]:
    """One solution."""
    ran = f" ran {code(each.row.ran)}" if each.row.ran else ""
    return [
        escape(", ".join(each.remedies)),
        code(each.row.contender.name) + ran,
        escape(kind_of(each.row.problem)),
        *(f"{solution_words.absolute_time(each, name)}<br>{solution_words.time(each, name)}" for name in passes(group)),
        f"{circumstances.peak(each.row.passes.values())} MB<br>{solution_words.share(each.peak)}",
        solution_words.share(each.saved),
        fmt.error(each.worst.max_error if each.worst else None),
        each.function,
    ]
