"""Write the table on the README's first screen from the committed results.  Run: python scripts/readme_table.py"""

from __future__ import annotations

import re
from pathlib import Path

from compare import results
from compare.records import PASSES, Measurement
from compare.report import format as fmt
from compare.summary import device_time, ratio, reference_of
from compare.verdicts import verdict

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "results/h100/bfloat16"
HEAD_DIM, SEQ_LENS = 64, (256, 1024, 4096)
MARKS = re.compile(r"(<!-- table -->\n).*(<!-- /table -->)", re.DOTALL)


def cell(row: Measurement, reference: Measurement | None, name: str, same_within: float) -> str:
    """Device time with its interval, the ratio to the reference, and the verdict."""
    time = fmt.time(device_time(row.passes[name]))  # type: ignore[index]
    relative = ratio(row, reference, name)  # type: ignore[arg-type]
    return f"{time}, {fmt.ratio(relative)} {verdict(relative, same_within)}" if relative else time


def table() -> str:
    """The Markdown between the marks."""
    run, rows = results.read(ROOT / SOURCE / results.RESULTS)
    versions = ", ".join(f"{name} {value}" for each in run.backends for name, value in each.versions.items())
    lines = [
        f"Naive causal attention, bfloat16, batch 8, one head of {HEAD_DIM}, T positions, on one "
        f"{run.backends[0].device_name} ({versions}): device time in ms with its 95% interval, "
        "the ratio to the first of each T, and the verdict, UNDECIDED too where the two processes of each disagree.",
        "",
        "| T | Contender | Forward | Backward | Step | Peak MB | Saved MB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for seq_len in SEQ_LENS:
        measured = [row for row in rows if isinstance(row, Measurement)]
        group = [row for row in measured if (row.problem.q_len, row.problem.head_dim) == (seq_len, HEAD_DIM)]
        reference = reference_of(group)
        for row in group:
            peak = max(each.peak_bytes for each in row.passes.values())
            cells = [cell(row, reference, name, run.settings.same_within) for name in PASSES]
            memory = [fmt.megabytes(peak), fmt.megabytes(row.saved_bytes)]
            lines.append("| " + " | ".join([str(seq_len), f"`{row.contender.name}`", *cells, *memory]) + " |")
    return "\n".join([*lines, "", f"The whole report: [{SOURCE}/report.md]({SOURCE}/report.md).", ""])


def readme(text: str) -> str:
    """The README's text with a fresh table."""
    return MARKS.sub(lambda marks: marks[1] + table() + marks[2], text)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text()))
