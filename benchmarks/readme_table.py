"""Write the README's tables from the committed results: ``python -m benchmarks.readme_table``."""

from __future__ import annotations

import re
from pathlib import Path

from compare.analysis import solutions
from compare.analysis import text as fmt
from compare.results import store
from compare.schema.records import PASSES, Measurement
from compare.stats.estimates import device_time, ratio, reference_of
from compare.stats.verdicts import verdict

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "results/h100/bfloat16"
HEAD_DIM, SEQ_LENS = 64, (256, 1024, 4096)
REMEDIES = "results/h100/remedies"
TELLING = (("fused", "bfloat16"), ("fused", "float32"), ("checkpoint", "float32"), ("naive", "bfloat16"))


def cell(row: Measurement, reference: Measurement | None, name: str, same_within: float) -> str:
    """Device time with its interval, the ratio to the reference, and the verdict."""
    time = fmt.time(device_time(row.passes[name]))  # type: ignore[index]
    relative = ratio(row, reference, name)  # type: ignore[arg-type]
    return f"{time}, {fmt.ratio(relative)} {verdict(relative, same_within)}" if relative else time


def table() -> str:
    """The Markdown between the marks."""
    run, rows = store.read(ROOT / SOURCE / store.RESULTS)
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


def remedies_table() -> str:
    """The remedies, each compared with naive float32 attention of the same framework."""
    _, rows = store.read(ROOT / REMEDIES / store.RESULTS)
    lines = [
        "| Remedy | Contender | Step | Step, times naive float32 (TF32) | Peak, times | Error |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    found = solutions.solutions(rows)
    for variant, dtype in TELLING:
        for each in found:
            contender, problem = each.row.contender, each.row.problem
            if (contender.variant, problem.dtype) != (variant, dtype) or contender.mode == "eager":
                continue
            name = f"`{contender.name}` {problem.dtype}" + (f", ran `{each.row.ran}`" if each.row.ran else "")
            ratios = [solutions.time(each, "step").replace("*", "\\*"), solutions.share(each.peak)]
            error = f"{each.worst.max_error:.1e}" if each.worst else "–"
            time = f"{fmt.time(device_time(each.row.passes['step']))} ms"
            lines.append("| " + " | ".join([", ".join(each.names), name, time, *ratios, error]) + " |")
    return "\n".join([*lines, "", f"The whole report: [{REMEDIES}/report.md]({REMEDIES}/report.md).", ""])


def readme(text: str) -> str:
    """The README's text with fresh tables."""
    return between("remedies", remedies_table(), between("table", table(), text))


def between(mark: str, made: str, text: str) -> str:
    """The text with new content between two marks."""
    marks = re.compile(rf"(<!-- {mark} -->\n).*(<!-- /{mark} -->)", re.DOTALL)
    return marks.sub(lambda found: found[1] + made + found[2], text)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text()))
