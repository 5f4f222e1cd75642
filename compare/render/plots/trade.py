"""Time beside memory: which contenders nobody beats in both."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from compare.analysis.curves import Front, Placed
from compare.render.plots import style
from compare.render.plots.style import Look, Picture
from compare.schema.records import DTYPES, Contender, Dtype

MOST_SIZES = 4
MARK_SIZES = {"float32": 9.0, "bfloat16": 6.0, "float16": 4.0}


def draw(found: Sequence[Front], looks: dict[Contender, Look], device: str) -> Picture | None:
    """A panel for each size."""
    shown = found[:MOST_SIZES]
    if not shown:
        return None
    columns = min(2, len(shown))
    figure, grid = style.panels(-(-len(shown) // columns), columns, height=3.4)
    for front, axes in zip(shown, grid.flat, strict=False):
        panel(axes, front, looks)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    present = {each for front in shown for each in front.contenders}
    handles = [style.handle(each, look, line=False) for each, look in looks.items() if each in present]
    style.legend(figure, [*handles, *sizes({dtype for front in shown for dtype in dtypes(front)})])
    title = "Time beside memory"
    return style.finished(figure, "fronts", title, device, style.FRONTS)


def sizes(found: Collection[Dtype]) -> list[Line2D]:
    """What the sizes of the marks mean, where there are several."""
    if len(found) < 2:
        return []
    return [
        Line2D([], [], color=style.FAINT, marker="o", linestyle="", markersize=MARK_SIZES[each], label=each)
        for each in DTYPES
        if each in found
    ]


def panel(axes: Axes, front: Front, looks: dict[Contender, Look]) -> None:
    """All rows of one size."""
    for each in front.placed:
        look = looks[each.row.contender]
        x, y = each.time.median * 1e3, each.peak_bytes / 1e6
        axes.errorbar(
            [x], [y], xerr=style.arms([each.time], 1e3), color=look.color, marker=look.marker, capsize=2.5,
            markersize=MARK_SIZES[each.row.problem.dtype], markerfacecolor="none" if each.beaten else look.color,
        )  # fmt: skip
    best = sorted((each for each in front.placed if not each.beaten), key=lambda each: each.time.median)
    axes.plot(*stairs(best), color=style.FAINT, linestyle=":", linewidth=1, zorder=0)
    axes.margins(0.15)
    axes.set_title(title(front), fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel=f"{front.pass_name}, device time (ms)", ylabel="highest peak (MB)")
    style.plain(axes.xaxis)
    style.plain(axes.yaxis)


def stairs(best: Sequence[Placed]) -> tuple[list[float], list[float]]:
    """The corners of the front: what is the least memory up to each time."""
    xs: list[float] = []
    ys: list[float] = []
    least = float("inf")
    for each in best:
        x, y = each.time.median * 1e3, min(least, each.peak_bytes / 1e6)
        xs += [x, x] if xs else [x]
        ys += [ys[-1], y] if ys else [y]
        least = y
    return xs, ys


def dtypes(front: Front) -> list[Dtype]:
    """The dtypes of its rows."""
    found = {each.row.problem.dtype for each in front.placed}
    return [each for each in DTYPES if each in found]


def title(front: Front) -> str:
    """The size, with the dtype where it is one for all."""
    label = front.problem.label
    return front.problem.label_without("dtype", "matmul_precision") if len(dtypes(front)) > 1 else label
