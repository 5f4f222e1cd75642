"""The circumstances of a run, and what was timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from compare.analysis import text as fmt
from compare.analysis.kernels import LEAST_SHARE, NOTICEABLE, Line
from compare.analysis.noise import Noted, Unmeasured
from compare.analysis.notices import worded
from compare.analysis.times import verdict_note
from compare.backends import BACKENDS
from compare.results.rows import measurements, outcome_of, status_of
from compare.schema.records import (
    MIN_ROUNDS,
    RESIDENT,
    Device,
    DeviceReport,
    Failure,
    Measurement,
    PassResult,
    Row,
    Run,
    Skip,
)
from compare.stats.estimates import WIDENED_FROM, processes_of, target_half_width

MOST_LABELS = 3
ON_ALL_KINDS = "All kinds of machine together"
STOPPED = {
    "steady": "steady: stopped once every ratio (one contender: every median) was known to ±{target:g}%",
    "budget": "budget: stopped when the time of its cases was spent",
    "samples": "samples: ran as many samples as were asked for",
}


RESIDENT_NOTE = " ≈: resident growth, where XLA's buffer assignment holds less than the process grew by."


def facts(run: Run, rows: Sequence[Row], shown: str = "") -> list[tuple[str, str]]:
    """What a reader must know before the numbers, as (name, value): when, where, with what, with which settings."""
    settings = run.settings
    precisions = dict.fromkeys(row.problem.matmul_precision for row in rows if row.problem.dtype == "float32")
    budget = f"{settings.samples} samples" if settings.samples else f"{settings.budget_s:g} s per case"
    chosen = {
        "date": run.date,
        "incomplete": incomplete(run, rows),
        "shown": shown,
        "command": run.command,
        "nodes": nodes_line(run),
        "merged from": "; ".join(f"{source.command} ({source.date})" for source in run.sources),
        **{report.backend: backend_line(report) for report in run.backends},
        "float32 matmul": ", ".join(precisions),
        "passes": ", ".join(settings.passes),
        "threads": str(settings.threads) if settings.device == "cpu" else "",
        "malloc": settings.malloc if settings.device == "cpu" else "",
        "budget": budget,
        "processes": processes_line(settings.processes, rows) if settings.processes > 1 else "",
        "several devices": devices_line(settings.process_per_device, rows),
        "cache": "cold: evicted before each sample" if settings.cache == "cold" else "",
        "seed": str(settings.seed),
    }
    return [(name, fmt.one_line(value)) for name, value in chosen.items() if value]


def incomplete(run: Run, rows: Sequence[Row]) -> str:
    """How much of what was planned is there, where some of it is not."""
    planned = run.planned_cases or 0
    return f"{len(rows)} of {planned} planned cases" if len(rows) < planned else ""


def nodes_line(run: Run) -> str:
    """How many nodes of a cluster measured, and their names."""
    names = [node.name for node in run.nodes]
    more = f" and {len(names) - MOST_LABELS} more" if len(names) > MOST_LABELS else ""
    return f"{len(names)}: {', '.join(names[:MOST_LABELS])}{more}" if names else ""


def kind_of_machine(run: Run, number: int, count: int) -> str:
    """What stands above the report on one of several kinds of machine."""
    devices = " and ".join(dict.fromkeys(report.device_name for report in run.backends)) or "no device known"
    return fmt.one_line(f"Kind of machine {number} of {count}: {devices}; its rows are compared with no others")


def processes_line(planned: int, rows: Sequence[Row]) -> str:
    """How many processes were planned, and how many rows have samples of fewer."""
    ran = [min(len(processes_of(result)) for result in row.passes.values()) for row in measurements(rows) if row.passes]
    fewer = sum(count < planned for count in ran)
    return f"{planned}" + (f"; {fewer} of {fmt.plural(len(ran), 'row')} have samples of fewer" if fewer else "")


def devices_line(process_per_device: bool, rows: Sequence[Row]) -> str:
    """Whether one process had all of several devices, or each its own."""
    names = sorted({row.contender.backend for row in rows if row.problem.devices > 1} & set(BACKENDS))
    ways = {True: "a process for each", False: "one process has all"}
    return "; ".join(f"{name}: {ways[bool(BACKENDS[name].launched(process_per_device))]}" for name in names)


def backend_line(report: DeviceReport) -> str:
    """Versions and device of one backend, and the interpreter where it is not the program's own."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"{versions or report.backend} on {report.device_name} ({report.device}, {fmt.size(report.total_bytes)})" + (
        f", under {report.python}" if report.python else ""
    )


def result_word(row: Row) -> str:
    """The outcome of a row in one word: ``ok``, ``WRONG``, ``unknown``, ``skip``, or the status of a failure."""
    if not isinstance(row, Measurement):
        return status_of(row)
    if row.agreement is None:
        return "unknown"
    return "ok" if row.agreement.agrees else "WRONG"


def without_numbers(row: Skip | Failure) -> str:
    """One line on a row that has no numbers: contender, outcome, reason, and the sizes where they may be why."""
    sizes = {
        "would need": row.predicted_bytes,
        "refused allocation": row.refused_bytes if isinstance(row, Failure) else None,
        "device has" if isinstance(row, Failure) else "available":
            row.device_bytes if isinstance(row, Failure) else row.available_bytes,
    }  # fmt: skip
    by_size = isinstance(row, Skip) or row.status in ("OOM", "CRASH")  # the system ends a process that takes too much
    known = ", ".join(f"{name} {fmt.size(value)}" for name, value in sizes.items() if value is not None and by_size)
    return fmt.one_line(f"{row.contender.name} {outcome_of(row)}: {row.reason}" + (f" ({known})" if known else ""))


def timing_notes(rows: Sequence[Row], same_within: float) -> list[str]:
    """What the numbers are, one sentence or two each; what does not occur in the rows is left out."""
    measured = measurements(rows)
    if not measured:
        return []
    stopped = Counter[str](row.stopped for row in measured)
    notes = [
        "Shapes: B batch, T query length, S key length where it differs, N query heads, K key heads where they differ, "
        "H head size; d_model = N x H.",
        "Device time: length of the union of the intervals in which the device ran a kernel or an op of the "
        "iteration, from each framework's own profiler. Gaps between kernels, Python and launches are not in it. "
        "On a CPU PyTorch's ops hold their own dispatch: below about a millisecond look at the wall time too.",
        "Wall time: host time of one iteration without a profiler, synchronised at both ends.",
        "Every time is a median over rounds with its 95% distribution-free interval, written as the longer arm in "
        f"percent (of several processes their medians and intervals are joined, see docs/method.md); ±? means "
        f"fewer than {MIN_ROUNDS} rounds. Contenders take turns, and a ratio is formed "
        "inside each round, so it can be known better than the two times. ±>99%: they scatter by more than their size; "
        "a ratio's interval from 10% on is given by its ends. "
        "Another process may run other autotuned kernels, and on a CPU be about a percent faster or slower for as "
        f"long as it lives: intervals of fewer than {WIDENED_FROM} processes (--processes) do not hold that.",
        "Passes: forward is inference, nothing saved; backward starts from the saved residuals and dO; step is both "
        "at one go (one program in JAX).",
        "Peak: highest allocation during a pass above what was allocated before it; where there is one peak for all "
        "passes, it is the highest. Saved: buffers alive between "
        "forward and backward, less those that alias q, k, v or the output. On a GPU XLA's programs allocate cuBLAS "
        "workspaces (tens of MB) inside a pass, PyTorch keeps one from its first product on. MB = 10^6 bytes.",
        f"Peaks are by {weighed_by(measured)}."
        + RESIDENT_NOTE * any(each.peak_source == RESIDENT for row in measured for each in row.passes.values()),
        "Error / allowed: the tensor that comes nearest to its allowance, against the float64 oracle.",
        "Not timed: making inputs, copies to and from the device, compiling, warm-up, and the check of the numbers.",
    ]
    if stopped:
        target = target_half_width(same_within) * 100
        counts = [
            f"{text.format(target=target)} ({fmt.plural(stopped[word], 'case')})"
            for word, text in STOPPED.items()
            if stopped[word]
        ]
        notes.append(f"Sampling, {'; '.join(counts)}.")
    if len(measured) > 1:
        notes.append(verdict_note(same_within))
    if any(row.alone for row in measured):
        notes.append("alone: measured without the other framework's worker and not in turns, so no ratio is given.")
    if any(row.agreement and not row.agreement.agrees for row in measured):
        notes.append("WRONG: the numbers disagree with the float64 oracle or with the others, so no ratio is given.")
    if any(row.agreement is None for row in measured):
        notes.append("unknown: the numbers of the row were not compared with the oracle.")
    return notes


def peak(passes: Iterable[PassResult]) -> str:
    """The highest of the peaks as a bare number of MB, marked where growth of resident memory stands in for a count."""
    highest = max(passes, key=lambda each: each.peak_bytes, default=None)
    if highest is None:
        return fmt.NONE
    return ("≈" if highest.peak_source == RESIDENT else "") + fmt.megabytes(highest.peak_bytes)


def weighed_by(rows: Sequence[Measurement]) -> str:
    """Who says what the peaks are, and for how many passes."""
    sources = Counter((row.contender.home, each.peak_source) for row in rows for each in row.passes.values())
    found = [f"{source} ({name}, {fmt.plural(count, 'pass', 'passes')})" for (name, source), count in sources.items()]
    return "; ".join(found)


def warning_line(noted: Noted) -> str:
    """A warning, and which rows have it."""
    names = ", ".join(dict.fromkeys(row.contender.name for row in noted.rows))
    labels = list(dict.fromkeys(row.problem.label for row in noted.rows))
    more = f" and {fmt.plural(len(labels) - MOST_LABELS, 'problem')} more" if len(labels) > MOST_LABELS else ""
    where = "; ".join(labels[:MOST_LABELS]) + more
    return fmt.one_line(f"{worded(noted.warning)} [{noted.warning.code}; {names}; {where}]")


def unmeasured_line(line: Unmeasured) -> str:
    """Why a contender has no numbers, and for which problems."""
    where = "; ".join(problem.label for problem in line.problems)
    return fmt.one_line(f"{line.contender.name} {line.outcome}: {line.reason} [{where}]")


def unit(device: Device) -> str:
    """What runs on the device: kernels on a GPU, ops on a CPU."""
    return "kernel" if device == "gpu" else "op"


def kernels_note() -> str:
    """What the list of kernels is."""
    return (
        "What ran in one profiled iteration, by each one's own time; shares of the iteration are applied to the median "
        f"of the pass. What takes under {LEAST_SHARE:.1%} of a pass is left out. A sentence counts what takes at "
        f"least {NOTICEABLE:.0%}; the rest it calls short."
    )


def kernel_words(line: Line) -> str:
    """How often a kernel ran, its ms and share, and what it is besides the kind that it is listed under."""
    besides = f" (also {', '.join(line.kinds[1:])})" if len(line.kinds) > 1 else ""
    return f"x{line.count} {fmt.ms(line.device_s)} ms {line.share:.0%}{besides}"
