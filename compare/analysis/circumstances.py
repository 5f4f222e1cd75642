"""Under which circumstances a run measured, and what its numbers are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, plain
from compare.analysis.times import verdict_note
from compare.backends import BACKENDS
from compare.results.rows import measurements, outcome_of, status_of
from compare.schema.records import MIN_ROUNDS, RESIDENT, DeviceReport, Failure, Measurement, PassResult, Row, Run, Skip
from compare.stats.estimates import WIDENED_FROM, processes_of, target_half_width

ORDER = 85
MOST_NODES = 3
ON_ALL_KINDS = "All kinds of machine together"
STOPPED = {
    "steady": "steady: every ratio (one contender: every median) was known to ±{target:g}%",
    "budget": "budget: the time per case was spent",
    "samples": "samples: all requested samples were taken",
}


RESIDENT_NOTE = " ≈: resident growth, where the process grew by more than XLA's buffer assignment holds."
NAME_AND_VALUE = (Column("Name"), Column("Value"))


def title(run: Run) -> str:
    """The title of a report."""
    return f"Attention benchmark: {' and '.join(report.backend for report in run.backends) or 'no backend'}"


def opening(run: Run, rows: Sequence[Row], shown: str = "") -> list[Section]:
    """What a page starts with: the settings, and the environment folded away."""
    flags = {f"{report.backend} {name}": value for report in run.backends for name, value in report.flags.items()}
    known = facts(run, rows, shown)
    host = [(plain(name), plain(value)) for name, value in [*run.host.items(), *flags.items()]]
    variables = [
        (code(source), code(f"{name}={value}"))
        for source, found in run.environment.items()
        for name, value in found.items()
    ]
    tables = [
        Table((Column("Setting"), Column("Value")), [(plain(name), plain(value)) for name, value in known]),
        Table(NAME_AND_VALUE, host, "Host and flags", folded=True),
        Table((Column("Source"), Column("Variable")), variables, "Environment variables", folded=True),
    ]
    return [Section("Settings", tables=tables)]


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """What was timed."""
    notes = [plain(note) for note in timing_notes(rows, run.settings.same_within)]
    return [Section("What was timed", [] if notes else ["Nothing was measured."], points=notes, brief=notes)]


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
    more = f" and {len(names) - MOST_NODES} more" if len(names) > MOST_NODES else ""
    return f"{len(names)}: {', '.join(names[:MOST_NODES])}{more}" if names else ""


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
        "iteration, from each framework's own profiler. It excludes gaps between kernels, Python and launches. On a "
        "CPU, PyTorch's ops include their own dispatch: below about a millisecond, compare wall time too.",
        "Wall time: host time of one iteration without a profiler, synchronised at both ends.",
        "Every time is a median over rounds with its 95% distribution-free interval. The interval is the longer arm in "
        f"percent. ±?: fewer than {MIN_ROUNDS} rounds. ±>99%: the rounds scatter by more than their median. Medians "
        "and intervals of several processes are joined (docs/method.md).",
        "Contenders take turns, and a ratio is formed inside each round. So it can be known better than the two "
        "times. From 10% on, the interval of a ratio is given by its ends.",
        "Another process may choose other autotuned kernels. On a CPU it may be about a percent faster or slower "
        f"throughout. Intervals of fewer than {WIDENED_FROM} processes (--processes) do not cover that.",
        "Passes: forward is inference and saves nothing. Backward starts from the saved residuals and dO. Step is both "
        "together (one program in JAX).",
        "Peak: highest allocation during a pass above what was allocated before it. One peak for all passes is the "
        "highest of theirs. Saved: buffers alive between forward and backward, less those that alias q, k, v or the "
        "output. MB = 10^6 bytes.",
        "On a GPU, XLA's programs allocate cuBLAS workspaces (tens of MB) inside a pass. PyTorch keeps one from its "
        "first product on.",
        f"Peaks are by {peak_sources(measured)}."
        + RESIDENT_NOTE * any(each.peak_source == RESIDENT for row in measured for each in row.passes.values()),
        "Error / allowed: the tensor whose error is nearest to its tolerance, compared with the float64 oracle.",
        "Not timed: making inputs, copies to and from the device, compiling, warm-up and verification.",
    ]
    if stopped:
        target = target_half_width(same_within) * 100
        counts = [
            f"{text.format(target=target)} ({fmt.plural(stopped[word], 'case')})"
            for word, text in STOPPED.items()
            if stopped[word]
        ]
        notes.append(f"Sampling stopped by {'; '.join(counts)}.")
    if len(measured) > 1:
        notes.append(verdict_note(same_within))
    if any(row.alone for row in measured):
        notes.append("alone: measured without the other framework's worker and without turns, so it has no ratio.")
    if any(row.agreement and not row.agreement.agrees for row in measured):
        notes.append("WRONG: the numbers disagree with the float64 oracle or with the others, so the row has no ratio.")
    if any(row.agreement is None for row in measured):
        notes.append("unknown: the numbers of the row were not verified.")
    return notes


def peak(passes: Iterable[PassResult]) -> str:
    """The highest of the peaks as a bare number of MB, marked where growth of resident memory stands in for a count."""
    highest = max(passes, key=lambda each: each.peak_bytes, default=None)
    if highest is None:
        return fmt.NONE
    return ("≈" if highest.peak_source == RESIDENT else "") + fmt.megabytes(highest.peak_bytes)


def peak_sources(rows: Sequence[Measurement]) -> str:
    """Who says what the peaks are, and for how many passes."""
    sources = Counter((row.contender.home, each.peak_source) for row in rows for each in row.passes.values())
    found = [f"{source} ({name}, {fmt.plural(count, 'pass', 'passes')})" for (name, source), count in sources.items()]
    return "; ".join(found)
