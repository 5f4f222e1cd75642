"""Ratios to the reference over sequence length and d_model: a panel for each contender and pass."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, nan

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from compare.analysis import text as fmt
from compare.analysis.curves import Family
from compare.analysis.times import Compared
from compare.render.plots import style
from compare.render.plots.style import Picture
from compare.schema.records import PASSES

MOST_CONTENDERS = 6
DOUBLINGS = 2.0  # the colours end at a quarter and at four times
COLORS = "cividis"  # as even in greyscale and for the colour-blind as in colour
DARK_BELOW = 0.42


def draw(family: Family, found: Sequence[Compared], number: str, where: str) -> Picture | None:
    """The picture; None where there are not two sizes to compare."""
    problems = {row.problem for row in family.rows}
    own = [each for each in found if each.problem in problems]
    contenders = list(dict.fromkeys(each.contender for each in own))[:MOST_CONTENDERS]
    names = [name for name in PASSES if any(each.pass_name == name for each in own)]
    if len(problems) < 2 or not own:
        return None
    figure, grid = style.panels(len(contenders), len(names), height=0.75 + 0.5 * len(family.head_dims))
    for contender, line in zip(contenders, grid, strict=True):
        for name, axes in zip(names, line, strict=True):
            some = [each for each in own if (each.contender, each.pass_name) == (contender, name)]
            image = panel(axes, family, some)
            axes.set_title(f"{style.name_of(contender)}, {name}", fontsize=8)
        line[0].set_ylabel("d_model")
    for axes in grid[-1]:
        axes.set_xlabel("sequence length")
    bar = figure.colorbar(image, ax=grid, shrink=0.8, pad=0.01)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["0.25x", "0.5x", "1x", "2x", "4x"])
    references = " or ".join(dict.fromkeys(style.name_of(each.reference) for each in own))
    title = f"Device time as a ratio to {references}"
    return style.finished(figure, f"ratios{number}", title, where, style.RATIOS)


def panel(axes: Axes, family: Family, found: Sequence[Compared]) -> AxesImage:
    """One panel, each cell with its numbers."""
    lengths, heads = family.lengths, family.head_dims
    cells = {(each.problem.head_dim, each.problem.q_len): each for each in found}
    values = [[doublings(cells.get((head, length))) for length in lengths] for head in heads]
    image = axes.imshow(values, cmap=COLORS, vmin=-DOUBLINGS, vmax=DOUBLINGS, aspect="auto", origin="lower")
    for y, head in enumerate(heads):
        for x, length in enumerate(lengths):
            each = cells.get((head, length))
            axes.text(x, y, words(each), ha="center", va="center", fontsize=6, color=ink(values[y][x]), linespacing=1.1)
    axes.set_xticks(range(len(lengths)), [style.length_word(each) for each in lengths])
    axes.set_yticks(range(len(heads)), [str(head * family.problem.heads) for head in heads])
    axes.grid(False)
    return image


def doublings(each: Compared | None) -> float:
    """The colour of a cell."""
    return log2(each.ratio.median) if each else nan


def words(each: Compared | None) -> str:
    """The numbers in a cell."""
    return f"{fmt.times(each.ratio.median)}\n{fmt.interval(each.ratio)}\n{each.verdict}" if each else fmt.NONE


def ink(value: float) -> str:
    """What can be read on a colour; on none it is a grey that can be read on light and dark."""
    if value != value:
        return style.FAINT
    red, green, blue, _ = colormaps[COLORS]((value + DOUBLINGS) / (2 * DOUBLINGS))
    return "#ffffff" if 0.3 * red + 0.59 * green + 0.11 * blue < DARK_BELOW else "#000000"
