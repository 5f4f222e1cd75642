"""The section of traces, which lie beside the report in a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence

from compare.measure.traces import FOLDER, ITERATIONS, Filed
from compare.render.markdown_text import escape, section, table

NOTE = (
    f"What ran in one iteration of each pass: of {ITERATIONS} that followed the last sample the one nearest to their "
    "median. The contenders of a problem lie under each other, each pass from the start of its window: open the file "
    "in ui.perfetto.dev. The contenders' own profiles hold all of these iterations, as their framework wrote them: "
    f"PyTorch's opens there too, JAX's in XProf (xprof --logdir {FOLDER})."
)


def traced(found: Sequence[Filed]) -> str:
    """Each problem with its files; nothing where there are none."""
    if not found:
        return ""
    lines = [
        [escape(each.problem.label), link("all", each.file), ", ".join(link(*own) for own in each.own.items())]
        for each in found
    ]
    return section("Traces", escape(NOTE), table(("Problem", "All contenders", "Each one's own profile"), lines))


def link(label: str, path: str) -> str:
    """A file, whose path has no sign that means something in a link (``traces.safe``)."""
    return f"[{escape(label)}]({path})"
