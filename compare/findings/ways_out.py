"""Rows -> what was too large for memory, and which remedy measured at the same sizes was not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from compare.findings.analysis import is_misfit
from compare.findings.remedies import BY_VARIANT, FLASH, for_least_memory, remedies_of
from compare.findings.summary import trusted
from compare.records import Contender, Measurement, Problem, Row


class WayOut(msgspec.Struct, frozen=True):
    """Contenders for which a problem was too large, and remedies that fit at its sizes, least memory first.

    ``flash_tried``: fused attention was run there, whatever became of it.
    """

    problem: Problem
    stuck: tuple[Contender, ...]
    fitting: tuple[Measurement, ...]
    flash_tried: bool


def out_of_memory(row: Row) -> bool:
    """Whether a case gave no numbers for want of memory."""
    return not isinstance(row, Measurement) and is_misfit(row)


def ways_out(
    rows: Iterable[Row],
    too_large: Callable[[Row], bool] = out_of_memory,
    fits: Callable[[Measurement], bool] = trusted,
) -> list[WayOut]:
    """One for each problem that was too large for someone; a remedy may have another dtype, but not another mask."""
    groups: dict[Problem, list[Row]] = {}
    for row in rows:
        groups.setdefault(replace(row.problem, dtype="float32", matmul_precision="ieee"), []).append(row)
    return [way for group in groups.values() for way in _of(group, too_large, fits)]


def _of(
    group: Sequence[Row], too_large: Callable[[Row], bool], fits: Callable[[Measurement], bool]
) -> Iterable[WayOut]:
    """The ways out at the same sizes, one for each precision in which there is no way through."""
    stuck: dict[Problem, list[Contender]] = {}
    for row in filter(too_large, group):
        stuck.setdefault(row.problem, []).append(row.contender)
    found = [row for row in group if isinstance(row, Measurement) and remedies_of(row) and fits(row)]
    tried = any(BY_VARIANT.get(row.contender.variant) == FLASH for row in group)
    for problem, contenders in stuck.items():
        yield WayOut(problem, tuple(contenders), tuple(for_least_memory(found)), tried)
