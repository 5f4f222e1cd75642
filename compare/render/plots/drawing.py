"""All pictures of a study.  They draw what ``curves``, ``roofline``, ``startup``, ``fronts`` and others have found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from compare.analysis import curves, roofline, startup
from compare.analysis.curves import Family
from compare.analysis.roofline import Reached
from compare.analysis.times import compared
from compare.maths import prediction
from compare.render.plots import heat, inside, lines, style, trade
from compare.render.plots.style import Look, Picture
from compare.schema.records import RESIDENT, Contender, Measurement, PassName, Row, Run

MOST_FAMILIES = 2  # those with most rows
MOST_LENGTHS = 12  # in one picture: the cells of a heat map hold three lines of text
Guide = dict[str, list[tuple[int, float]]]


def draw(run: Run, rows: Sequence[Row]) -> list[Picture]:
    """Every picture for which there is something to show."""
    return list(style.drawn(_draw, run, rows))


def _draw(run: Run, rows: Sequence[Row]) -> list[Picture]:
    looks = style.looks(row.contender for row in rows)
    found: list[Picture | None] = []
    for at, family in enumerate(curves.families(rows)[:MOST_FAMILIES]):
        found += of_family(run, family, looks, f"-{at + 1}" if at else "")
    found += [
        lines.draw_costs(startup.startups(rows, run.backends), devices(run)),
        trade.draw(curves.fronts(rows), looks, devices(run)),
        inside.draw(curves.panels(rows), looks, devices(run)),
    ]
    return [each for each in found if each]


def of_family(run: Run, family: Family, looks: dict[Contender, Look], number: str) -> list[Picture | None]:
    """All pictures over the sequence length; ``number`` stands behind their names."""
    shown = curves.spread(family, MOST_LENGTHS)
    where = place(run, family) + part_of(shown, family)
    family, reached = shown, roofline.reached(shown.rows, run.rates)
    grown = any(each.peak_source == RESIDENT for row in family.rows for each in row.passes.values())
    memory = style.MEMORY + style.GROWTH * grown
    return [
        lines.draw(
            family, looks, curves.time_s, partial(bounds, reached), ("device time (ms)", 1e3),
            (f"time{number}", "Device time against sequence length", where, style.TIME),
        ),
        lines.draw(
            family, looks, curves.peak_bytes, matrix, ("peak (MB)", 1e-6),
            (f"memory{number}", "Peak memory against sequence length", where, memory),
        ),
        heat.draw(family, compared(family.rows, run.settings.same_within), number, where),
        lines.draw(
            family, looks, curves.roofline_share(reached), whole, ("% of roofline", 100.0),
            (f"roofline{number}", "Percent of roofline against sequence length", where, style.ROOFLINE), log=False,
        ),
    ]  # fmt: skip


def devices(run: Run) -> str:
    """The device in words, by all backends."""
    return " and ".join(dict.fromkeys(report.device_name for report in run.backends)) or run.settings.device


def place(run: Run, family: Family) -> str:
    """Device, and what all rows of a family share."""
    problem = family.problem
    precision = f" {problem.matmul_precision}" if problem.dtype == "float32" else ""
    heads = f"{problem.heads} heads" if problem.heads > 1 else "one head"
    keys = f" of queries, {problem.kv_heads} of keys" if problem.kv_heads != problem.heads else ""
    return f"{devices(run)}: {problem.mask} {problem.dtype}{precision}, batch {problem.batch}, {heads}{keys}"


def part_of(shown: Family, family: Family) -> str:
    """That a picture shows some of the lengths, and how many there are."""
    count, every = len(shown.lengths), len(family.lengths)
    return f"; {count} of {every} sequence lengths are drawn, the tables have all" if count < every else ""


def bounds(reached: Sequence[Reached], rows: Sequence[Measurement], name: PassName) -> Guide:
    """The roofline bound of each variant."""
    own = {id(row) for row in rows}
    found: dict[str, dict[int, float]] = {}
    for each in reached:
        if id(each.row) in own and each.pass_name == name and each.achieved and each.achieved.bound_s:
            variant = each.row.ran or each.row.contender.variant
            found.setdefault(variant, {})[each.row.problem.q_len] = each.achieved.bound_s
    return {f"bound of {variant}": list(points.items()) for variant, points in found.items()}


def matrix(rows: Sequence[Measurement], _: PassName) -> Guide:
    """One score matrix."""
    return {"one score matrix": [(row.problem.q_len, prediction.score_bytes(row.problem)) for row in rows]}


def whole(rows: Sequence[Measurement], _: PassName) -> Guide:
    """The roofline itself."""
    return {"roofline": [(row.problem.q_len, 1.0) for row in rows]}
