"""The parent's side on a GPU: start the child processes, compare their numbers, and make the tables.

Nsight Compute serializes kernels, so its sum is compared with the sum of our kernels.  We report the length of their
union, which is shorter if kernels overlap; the table shows by how much.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.second_opinion import cases, ncu
from benchmarks.second_opinion.cases import MODES, Task, label
from benchmarks.second_opinion.driver import MARK
from benchmarks.second_opinion.gpu import NCU_CALLS, Ours
from benchmarks.second_opinion.ncu import Timed
from benchmarks.second_opinion.sheets import NOT, REPORTED, Sheet, verdict

WITHIN = 0.03
LEAST_KERNEL_S = 50e-6  # shorter kernels get no verdict: launch gaps of a microsecond are a large share
Calls = Mapping[str, Sequence[Sequence[Timed]]]  # per framework, all calls that Nsight Compute saw


def check(seq_lens: tuple[int, ...], cache: Path, timeout_s: float) -> list[Sheet]:
    """One child process per framework without ``ncu``, and one under it if it is installed."""
    ours: list[Ours] = []
    theirs: dict[str, Sequence[Sequence[Timed]]] = {}
    problems: list[str] = []
    for backend in MODES:
        ours += cases.ask(Task("ours", backend, "gpu", seq_lens), cache, list[Ours], timeout_s=timeout_s)
        if shutil.which("ncu"):
            try:
                theirs[backend] = _ncu(Task("ncu", backend, "gpu", seq_lens), cache, timeout_s)
            except (RuntimeError, ValueError) as reason:
                problems.append(str(reason))
    sheets = [long_runs(ours)]
    if theirs:
        sheets += nsight(ours, theirs)
    if problems:
        failed: list[tuple[str, ...]] = [(problem, NOT) for problem in problems]
        sheets.append(Sheet("Nsight Compute failed", ("reason", "verdict"), failed))
    if not shutil.which("ncu"):
        sheets[0].remarks.append("Nsight Compute: not measured; ncu is not on the path")
    return sheets


def _ncu(task: Task, cache: Path, timeout_s: float) -> list[list[Timed]]:
    """The kernels of every call of one framework, as Nsight Compute saw them."""
    log = cache / f"ncu-{task.backend}.csv"
    under = ("ncu", *ncu.OPTIONS, "--log-file", str(log))
    try:
        count = cases.ask(task, cache, int, timeout_s=timeout_s, under=under)
    except RuntimeError as error:
        written = log.read_text(errors="replace")[-cases.ERROR_CHARACTERS :] if log.exists() else ""
        raise RuntimeError(f"{error}\n{written}") from None
    found = ncu.calls(ncu.read(log.read_text(errors="replace")), MARK)
    if len(found) != count:
        raise ValueError(f"{task.backend}: expected {count} calls from Nsight Compute, got {len(found)}")
    return found


def long_runs(ours: Sequence[Ours]) -> Sheet:
    """Device time of a pass compared with the time per call of a long run."""
    sheet = Sheet(
        "Long runs without a profiler",
        ("case", "pass", ">device ms", ">long run ms", ">calls", ">ratio", "verdict"),
        remarks=[
            "PyTorch: CUDA events, around each backward after its forward half; JAX: wall clock, all backwards on one"
            " set of residuals",
            f"ok: within {WITHIN:.0%}; a verdict where kernels take {LEAST_KERNEL_S * 1e6:.0f} us on average: a long"
            " run includes the gaps between kernels, device time does not",
        ],
    )
    for one in ours:
        names = (label(one.case), one.pass_name)
        if one.problem:
            sheet.rows.append((*names, "", "", "", one.problem, NOT))
            continue
        ratio = one.device_s / one.long_run_s
        outcome = verdict(ratio, WITHIN) if one.mean_kernel_s >= LEAST_KERNEL_S else REPORTED
        numbers = (_ms(one.device_s), _ms(one.long_run_s), str(one.long_run_calls), f"{ratio:.3f}")
        sheet.rows.append((*names, *numbers, outcome))
    return sheet


def nsight(ours: Sequence[Ours], theirs: Calls) -> list[Sheet]:
    """Tables of kernel sums per pass, and of each long kernel."""
    sums = Sheet(
        "Nsight Compute: the kernels of a pass, added up",
        ("case", "pass", ">kernels", ">ours ms", ">ncu ms", ">ratio", ">union / sum", "verdict"),
        remarks=[
            f"ok: within {WITHIN:.0%}; a verdict where kernels take {LEAST_KERNEL_S * 1e6:.0f} us on average",
            "union / sum: reported device time over the sum of kernels; below 1 if kernels overlap, above with copies",
        ],
    )
    kernels = Sheet(
        f"Nsight Compute: kernels above {LEAST_KERNEL_S * 1e6:.0f} us",
        ("case", "pass", "kernel", ">ours us", ">ncu us", ">ratio", "verdict"),
        remarks=[f"ok: within {WITHIN:.0%}; NOT also for a kernel that only one of the two saw"],
    )
    for backend, calls in theirs.items():
        mine = [one for one in ours if one.case.contender.backend == backend]
        for at, one in enumerate(mine):
            if not one.problem:  # long_runs reports it
                _compare(one, calls[at * NCU_CALLS : (at + 1) * NCU_CALLS], sums, kernels)
    return [sums, kernels]


def _compare(one: Ours, calls: Sequence[Sequence[Timed]], sums: Sheet, kernels: Sheet) -> None:
    """The lines of one pass."""
    names = (label(one.case), one.pass_name)
    try:
        usual = ncu.usual(calls, NCU_CALLS)
    except ValueError as reason:
        sums.rows.append((*names, "", "", "", str(reason), "", NOT))
        return
    pairs, alone = ncu.match(one.kernels, usual)
    theirs_s = sum(kernel.device_s for kernel in usual)
    ratio = one.kernels_s / theirs_s
    outcome = verdict(ratio, WITHIN) if one.mean_kernel_s >= LEAST_KERNEL_S else REPORTED
    numbers = (str(len(pairs)), _ms(one.kernels_s), _ms(theirs_s), f"{ratio:.3f}")
    sums.rows.append((*names, *numbers, f"{one.device_s / one.kernels_s:.3f}", NOT if alone else outcome))
    kernels.rows += [(*names, what, "", "", "", NOT) for what in alone]
    kernels.rows += [
        (
            *names,
            *(pair.name, f"{pair.ours_s * 1e6:.1f}", f"{pair.theirs_s * 1e6:.1f}"),
            *(f"{pair.ratio:.3f}", verdict(pair.ratio, WITHIN)),
        )
        for pair in pairs
        if max(pair.ours_s, pair.theirs_s) >= LEAST_KERNEL_S
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"
