"""How all plots look: a colour, marker and dash for each contender, distinct in greyscale and to the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from math import isfinite
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from compare.analysis.text import one_line
from compare.schema.records import Contender
from compare.stats.estimates import Estimate

INK, PAPER = "#1b1b1f", "#fdfdfe"

TIME = (
    "Medians with their 95% intervals, which are often smaller than the mark. A slope is the exponent of the "
    "sequence length between the two longest. A bound is the least time that a variant's bytes and "
    "FLOPs need at this device's measured rates."
)
MEMORY = (
    "The highest allocation during a pass above what was allocated before it. It is counted, not sampled, and has"
    " no interval. A slope is the exponent of the sequence length between the two longest, where both were measured"
    " in the same way."
)
GROWTH = " Peaks marked ≈ in the tables are growth of resident memory, accurate to tens of percent."
ROOFLINE = (
    "The roofline bound over device time, with the 95% interval of the time. At 100% a pass is as fast as the count of"
    " the variant's bytes and FLOPs allows. The roofline table marks what is over 100% or was served by a cache."
)
RATIOS = (
    "Device time over that of the baseline, with its 95% confidence interval and the verdict: below 1 is faster. The "
    "colours end at 0.25x and 4x. –: not comparable, or not measured."
)
COSTS = (
    "What each pass cost before its first sample, and the wall time of a steady call with its 95% confidence "
    "interval. Dispatch is wall time less device time of a steady call. Costs were measured once and have no "
    "interval; zero costs are not shown."
)
FRONTS = (
    "Device time with its 95% confidence interval, and the highest peak of the passes, for the largest sizes. Filled:"
    " on the Pareto front, joined by the dotted line. Hollow: another contender is faster (its interval ends before "
    "this one begins) and needs no more memory. Dtypes share the plot: they were measured one after the other, and "
    "their errors differ."
)
INSIDE = (
    "Bytes above the start of one iteration of each pass, from the framework's profiler, before the first sample. A"
    " level lasts until the next change. Profiling slows the iteration, so time is shown as a share of it. On a GPU the"
    " host allocates before the kernels run. A row's peak can lie above its line: a compiler allocates its whole plan"
    " at once, while the line shows what is in use, and kernels may allocate outside of the plan."
)


def inside(sources: Mapping[str, Sequence[str]], untold: Mapping[str, Sequence[str]]) -> str:
    """The caption of memory inside one iteration, by who says so, with the contenders that have no line."""
    said = "; ".join(f"{' and '.join(homes)}: {source}" for source, homes in sources.items())
    lacking = "".join(f" No line for {', '.join(names)}: {reason}." for reason, names in untold.items())
    return f"{INSIDE} Sources: {said}.{lacking}"


FAINT = "#8a8a93"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#9467bd")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)))
REFERENCE_DASHES: tuple[Any, ...] = ((0, (2, 2)), (0, (6, 2)), (0, (1, 3)))
NAME_CHARS = 60
RULES: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.hashsalt": "attention-compare",  # the same picture has the same bytes
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), PAPER),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


class Picture(NamedTuple):
    """One picture; ``caption`` says in a sentence or two what it shows and what it does not."""

    name: str
    title: str
    caption: str
    svg: str
    figure: Figure

    def png(self) -> bytes:
        """The same as PNG, which takes as long as all before it."""
        with rc_context(RULES):
            return saved(self.figure, format="png", dpi=130)


class Look(NamedTuple):
    """How a contender is drawn."""

    color: str
    marker: str
    dashes: Any


def looks(contenders: Iterable[Contender]) -> dict[Contender, Look]:
    """A look for each contender, by its place among all of a report, so that it is the same in all pictures."""
    return {
        each: Look(PALETTE[at % len(PALETTE)], MARKERS[at % len(MARKERS)], DASHES[at % len(DASHES)])
        for at, each in enumerate(dict.fromkeys(contenders))
    }


def panels(rows: int, columns: int, height: float = 2.5, **shared: Any) -> tuple[Figure, Any]:
    """A figure with a grid of panels, always as an array of two dimensions."""
    width = max(7.2, 3.1 * columns)
    figure = Figure(figsize=(width, height * rows + 1.3), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def finished(figure: Figure, name: str, title: str, subtitle: str, caption: str) -> Picture:
    """The figure under its title."""
    figure.suptitle(f"{title}\n{one_line(subtitle)}", fontsize=10)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")  # laid out once, not once more for each format
    svg = saved(figure, format="svg", metadata={"Date": None, "Creator": None}).decode()
    return Picture(name, title, caption, svg, figure)


def saved(figure: Figure, **how: Any) -> bytes:
    """The bytes of a figure in one format."""
    out = BytesIO()
    figure.savefig(out, **how)
    return out.getvalue()


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One legend for all panels, below them."""
    longest = max((len(str(each.get_label())) for each in handles), default=0)
    columns = max(1, min(4, int(figure.get_figwidth() * 13 / (longest + 8))))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, handlelength=3.2)


def handle(contender: Contender, look: Look, line: bool = True) -> Line2D:
    """A contender's entry in a legend."""
    return Line2D(
        [], [], color=look.color, marker=look.marker, linestyle=look.dashes if line else "", label=name_of(contender)
    )


def name_of(contender: Contender) -> str:
    """A contender's name, a very long one without its middle."""
    name = one_line(contender.name)
    half = NAME_CHARS // 2
    return name if len(name) <= NAME_CHARS else f"{name[:half]}…{name[-half:]}"


def arms(values: Sequence[Estimate], scale: float) -> list[list[float]]:
    """Both arms of each interval for an error bar; none where there are too few rounds."""
    known = [each if isfinite(each.high) else Estimate(each.median, each.median, each.median, 0) for each in values]
    return [[(each.median - each.low) * scale for each in known], [(each.high - each.median) * scale for each in known]]


def length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """Sequence lengths on a logarithmic axis, each named once, in K from 1024 on where that is exact."""
    axes.set_xscale("log", base=2)
    step = -(-len(lengths) // 8)
    axes.set_xticks(lengths[::step], [length_word(each) for each in lengths[::step]])
    axes.minorticks_off()


def length_word(length: int) -> str:
    """``16K`` for 16384."""
    return f"{length // 1024}K" if length % 1024 == 0 else str(length)


def plain(axis: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers, also between powers of ten where there are few of these."""
    axis.axes.autoscale_view()
    low, high = axis.get_view_interval()
    ticks = LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=12)
    axis.set_major_locator(MaxNLocator(4) if high / low < 6 else ticks)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def drawn(make: Any, *args: Any) -> Any:
    """Whatever is made, under the rules of style."""
    with rc_context(RULES):
        return make(*args)
