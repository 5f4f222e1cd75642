"""Startup cost: from importing a framework to a steady call, on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence

from compare.analysis.startup import Startup
from compare.render.plots import style
from compare.render.plots.style import Picture

STAGES = ("import", "device start", "trace, lower", "compile", "compile, warm cache", "first call", "dispatch")
MOST_LINES = 36


def draw(found: Sequence[Startup], device: str) -> Picture | None:
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
