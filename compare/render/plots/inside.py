"""Memory inside one iteration: a panel for each pass and framework, a line of steps for each contender."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from compare.analysis.curves import Line, Panels
from compare.maths.prediction import score_bytes, seed_rise_bytes
from compare.render.plots import style
from compare.render.plots.style import Look, Picture
from compare.schema.records import Contender, PassName, Problem

AFTER = 104.0  # percent of the iteration: where the row's own peak stands, behind all lines
MATRIX, FORMULA = style.REFERENCE_DASHES[:2]


def draw(found: Panels | None, looks: dict[Contender, Look], device: str) -> Picture | None:
    """The picture; None where no row has a curve."""
    if found is None:
        return None
    figure, grid = style.panels(len(found.passes), len(found.homes), height=2.6, sharey="row", sharex=True)
    for name, row in zip(found.passes, grid, strict=True):
        for home, axes in zip(found.homes, row, strict=True):
            panel(axes, found.lines.get((name, home), []), looks)
            guides(axes, found.problem, name)
            axes.set_title(f"{name}, {home}")
        row[0].set_ylabel("MB above the start")
    for axes in grid[-1]:
        axes.set_xlabel("% of the iteration")
    present = {line.contender for own in found.lines.values() for line in own}
    style.legend(figure, [*(style.handle(each, look) for each, look in looks.items() if each in present), *meanings()])
    caption = style.inside(found.sources, {why: names(own) for why, own in found.untold.items()})
    where = f"{device}: {found.problem.label}"
    return style.finished(figure, "memory-inside", "Memory inside one iteration", where, caption)


def panel(axes: Axes, lines: Sequence[Line], looks: dict[Contender, Look]) -> None:
    """The lines of one pass in one framework: filled marks where they are highest, hollow ones for the row's peak."""
    for line in lines:
        look, curve = looks[line.contender], line.curve
        shares = [100 * moment / curve.window_s for moment in curve.moments_s]
        levels = [level / 1e6 for level in curve.levels_bytes]
        axes.plot(
            [*shares, 100.0], [*levels, levels[-1]], drawstyle="steps-post",
            color=look.color, linestyle=look.dashes, linewidth=1.3,
        )  # fmt: skip
        highest = levels.index(max(levels))
        axes.plot(shares[highest], levels[highest], color=look.color, marker=look.marker, markersize=5)
        axes.plot(
            AFTER, line.result.peak_bytes / 1e6, color=look.color, marker=look.marker, markersize=5,
            markerfacecolor="none", clip_on=False,
        )  # fmt: skip
    axes.set_xlim(0, AFTER + 2)


def guides(axes: Axes, problem: Problem, name: PassName) -> None:
    """One score matrix, and what the formula of naive attention adds to what is there at the start."""
    axes.axhline(score_bytes(problem) / problem.devices / 1e6, color=style.FAINT, linestyle=MATRIX, linewidth=1.1)
    if problem.layers == 1:
        axes.axhline(seed_rise_bytes(problem, name) / 1e6, color=style.FAINT, linestyle=FORMULA, linewidth=1.1)


def meanings() -> list[Line2D]:
    """What the grey lines and the marks are."""
    return [
        Line2D([], [], color=style.FAINT, linestyle=MATRIX, label="one score matrix"),
        Line2D([], [], color=style.FAINT, linestyle=FORMULA, label="naive by the formula"),
        Line2D([], [], color=style.FAINT, linestyle="", marker="o", label="the line's highest"),
        Line2D([], [], color=style.FAINT, linestyle="", marker="o", markerfacecolor="none", label="the row's peak"),
    ]


def names(contenders: Sequence[Contender]) -> list[str]:
    """Their names."""
    return [style.name_of(each) for each in contenders]
