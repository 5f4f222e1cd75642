"""Curves over the sequence length: time, memory, percent of roofline; and the startup cost up to a steady call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from compare.analysis.curves import Curve, Family, Quantity, curves
from compare.analysis.startup import Startup
from compare.render.plots import style
from compare.render.plots.style import Look, Picture
from compare.results.rows import passes_of
from compare.schema.records import Contender, Measurement, PassName

STAGES = ("import", "device start", "trace, lower", "compile", "compile, warm cache", "first call", "dispatch")
MOST_LINES = 36


def draw_costs(found: Sequence[Startup], device: str) -> Picture | None:
    """The picture of the first problem whose costs were measured with warm caches too."""
    own = [each for each in found if each.problem == found[0].problem][:MOST_LINES]
    if not own:
        return None
    figure, [[axes]] = style.panels(1, 1, height=0.7 + 0.27 * len(own))
    figure.set_figwidth(8.5)
    for at, name in enumerate(STAGES):
        known = [(seconds(each)[at], y) for y, each in enumerate(own) if seconds(each)[at] > 0]
        axes.plot(
            [x for x, _ in known], [y for _, y in known], color=style.PALETTE[at % len(style.PALETTE)],
            marker=style.MARKERS[at], linestyle="", markersize=5, label=name,
        )  # fmt: skip
    steady = [each.steady for each in own]
    axes.errorbar(
        [each.median for each in steady], range(len(own)), xerr=style.arms(steady, 1.0), label="steady call",
        color=style.INK, marker="|", markersize=9, markeredgewidth=2, linestyle="", capsize=2.5,
    )  # fmt: skip
    axes.set_yticks(range(len(own)), [f"{style.name_of(each.contender)}, {each.pass_name}" for each in own], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    style.plain(axes.xaxis)
    axes.set_xlabel("seconds")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return style.finished(figure, "costs", "Startup cost", f"{device}: {own[0].problem.label}", style.COSTS)


def seconds(each: Startup) -> tuple[float, ...]:
    """The stages but the steady call, in the order of STAGES; 0 for one that is not known."""
    cost, warm = each.cost, each.warm
    before = (each.import_s, each.start_s, cost.trace_s, cost.compile_s, warm.compile_s if warm else 0.0)
    return (*before, cost.first_call_s, each.dispatch_s)


MOST_HEADS = 4
Guides = Callable[[Sequence[Measurement], PassName], dict[str, list[tuple[int, float]]]]


def draw(
    family: Family,
    looks: dict[Contender, Look],
    quantity: Quantity,
    guides: Guides,
    unit: tuple[str, float],
    words: tuple[str, str, str, str],
    log: bool = True,
) -> Picture | None:
    """The picture; None where no contender has two lengths.

    ``guides``: lines for comparison, by name.  ``unit``: what the axis says, and by what values are multiplied.
    ``words``: name, title, subtitle and caption.
    """
    heads, names = family.head_dims[-MOST_HEADS:], passes_of(family.rows)
    by_head = {head: [row for row in family.rows if row.problem.head_dim == head] for head in heads}
    found = {(name, head): curves(by_head[head], name, quantity) for name in names for head in heads}
    if not any(len(curve.points) > 1 for each in found.values() for curve in each):
        return None
    flat = len(heads) == 1  # then the passes stand side by side
    shape = (1, len(names)) if flat else (len(names), len(heads))
    figure, grid = style.panels(*shape, sharex=True, sharey="row")
    shown: dict[str, Line2D] = {}
    for name, line in zip(names, grid.T if flat else grid, strict=True):
        for head, axes in zip(heads, line, strict=True):
            plot(axes, found[name, head], looks, unit[1], log)
            for at, (label, points) in enumerate(guides(by_head[head], name).items()):
                shown[label] = guide(axes, label, points, unit[1], at)
            axes.set_title(f"{name}, head size {head}")
            style.length_axis(axes, family.lengths)
    for axes in grid[:, 0]:
        axes.set_ylabel(unit[0])
        if log:
            axes.set_yscale("log")
            style.plain(axes.yaxis)
        else:
            axes.set_ylim(bottom=0)
    for axes in grid[-1]:
        axes.set_xlabel("sequence length")
    present = [each for each in looks if any(curve.contender == each for some in found.values() for curve in some)]
    style.legend(figure, [*(style.handle(each, looks[each]) for each in present), *shown.values()])
    return style.finished(figure, *words)


def plot(axes: Axes, found: Sequence[Curve], looks: dict[Contender, Look], scale: float, log: bool) -> None:
    """The curves of one panel, each point with its interval, and on logarithmic axes their slopes."""
    slopes = []
    for curve in found:
        look, values = looks[curve.contender], [value for _, value in curve.points]
        axes.errorbar(
            [length for length, _ in curve.points],
            [value.median * scale for value in values],
            yerr=style.arms(values, scale),
            color=look.color, marker=look.marker, linestyle=look.dashes, markersize=4, linewidth=1.3, capsize=2.5,
        )  # fmt: skip
        if log and curve.slope is not None:
            slopes.append(Line2D([], [], color=look.color, marker=look.marker, ls="", ms=4, label=f"{curve.slope:.2f}"))
    if slopes:
        axes.legend(handles=slopes, title="slope", fontsize=7, title_fontsize=7, loc="best", labelspacing=0.2)


def guide(axes: Axes, label: str, points: Sequence[tuple[int, float]], scale: float, at: int) -> Line2D:
    """A line for comparison in grey, and its entry in the legend."""
    dashes = style.REFERENCE_DASHES[at % len(style.REFERENCE_DASHES)]
    ordered = sorted(points)
    axes.plot(
        [length for length, _ in ordered], [value * scale for _, value in ordered], color=style.FAINT, ls=dashes, lw=1.1
    )
    return Line2D([], [], color=style.FAINT, linestyle=dashes, label=label)
