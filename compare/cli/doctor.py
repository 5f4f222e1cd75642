"""``doctor``: what is installed, what each framework sees, whether its profiler is right, and what else runs here."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import sleep

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.analysis.notices import worded
from compare.backends import BACKENDS, backend, missing_modules
from compare.cli.arguments import FAILED, OK, Parser
from compare.cli.publishing import Screen
from compare.machine import load
from compare.machine.load import Gpu
from compare.measure.workers import Fleet
from compare.plan import devices
from compare.schema.records import PASSES, Conditions, Contender, Device, DeviceReport, Settings
from compare.worker.protocol import Failed, Finding, Probe, Probed

LOOKS, LOOK_S = 8, 0.25
CHECK = "other load"


def of_cpus() -> Finding:
    """CPU time that other processes and other machines took during the check."""
    before = load.ticks(())
    sleep(LOOKS * LOOK_S)
    others, stolen = load.shares(before, load.ticks(()))
    if others is None:
        return Finding(check=CHECK, result="not applicable", text="this system does not report CPU load")
    busy = others > load.BUSY
    notices = load.notices(Conditions(others_share=others, stolen_share=stolen, busy=busy))
    if not notices:
        return Finding(check=CHECK, result="pass", text=f"other processes use {others:.0%} of the CPUs")
    withheld = " (a run would withhold its verdicts)" if busy else ""
    return Finding(check=CHECK, result="busy", text="; ".join(map(worded, notices)) + withheld)


def of_gpu() -> Finding:
    """Whether others use the GPU that workers would see."""
    gpu, known = Gpu(), []
    for _ in range(LOOKS):
        sleep(LOOK_S)
        known += [use for use in (gpu.use(),) if use]
    if not known:
        return Finding(check=CHECK, result="not applicable", text="NVML reports no load; is nvidia-ml-py installed?")
    share, last = median(each.busy_share for each in known), known[-1]
    text = f"busy {share:.0%} of the time; {last.processes} other processes hold {last.held_bytes / 1e9:.1f} GB of it"
    if share > load.OTHERS or last.processes:
        return Finding(check=CHECK, result="busy", text=f"{text}; end them and rerun")
    return Finding(check=CHECK, result="pass", text=text)


TIMEOUT_S = 300.0
STYLES = {"pass": "green", "fail": "bold red", "busy": "yellow", "not applicable": "dim"}
MACHINE = "machine"  # in the place of a framework
Line = tuple[str, str, Finding]


def add_arguments(parser: Parser) -> None:
    """``doctor`` takes no options besides ``--help``."""
    parser.description = (
        "Checks this machine: what is installed, which devices each framework sees, whether its profiler delivers "
        "device and memory events, which arithmetic its products use, whether work of known size takes the expected "
        "time, and whether other processes use the machine."
    )
    parser.epilog = "Exit code 0 if every check that applies passes, 3 if one fails.  Other load is reported only."


def run(options: argparse.Namespace, parser: Parser, argv: Sequence[str]) -> int:
    """0 if everything that applies to this machine passes."""
    del options, parser, argv
    return OK if examine(Screen()) else FAILED


def examine(console: Console) -> bool:
    """Print all findings; returns whether all that applies to this machine passes."""
    lines: list[Line] = []
    for name in (MACHINE, *BACKENDS):
        if not console.is_terminal:
            console.print(f"checking {name}")
        with console.status(f"checking {name}"):
            lines += of_machine() if name == MACHINE else of_backend(name)
    console.print(table(lines))
    counts = Counter(finding.result for _, _, finding in lines)
    console.print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['not applicable']} not applicable")
    if counts["busy"]:
        console.print(
            "Other load was found: these checks and any measurement may be wrong. End the other processes and rerun."
        )
    working = any(finding.result == "pass" for name, _, finding in lines if name != MACHINE)
    return not counts["fail"] and working


def of_machine() -> Iterator[Line]:
    """What else it does, looked at before anything of this program runs."""
    yield MACHINE, "cpu", of_cpus()
    if devices.has_gpu_node():
        yield MACHINE, "gpu", of_gpu()


def of_backend(name: str) -> Iterator[Line]:
    """What is installed, and what it does on each device."""
    missing = missing_modules(name)
    if missing:
        text = f"not installed ({', '.join(missing)} missing): {backend(name).install}"
        yield name, "", Finding(check="installed", result="not applicable", text=text)
        return
    yield from ((name, "cpu", each) for each in on_device(name, "cpu"))
    if not devices.has_gpu_node():
        yield name, "gpu", Finding(check="device", result="not applicable", text="this machine shows no GPU")
    elif devices.blind_backends((naive(name),)):
        text = f"{name} cannot open the GPU of this machine; {devices.GPU_HINT}"
        yield name, "gpu", Finding(check="device", result="fail", text=text)
    else:
        yield from ((name, "gpu", each) for each in on_device(name, "gpu"))


def naive(name: str) -> Contender:
    """A contender of the backend, to address its worker."""
    return Contender(backend=name, variant="naive", mode=backend(name).modes[0])


def on_device(name: str, device: Device) -> Iterator[Finding]:
    """The findings of a worker of its own on one device."""
    settings = Settings(
        device=device,
        passes=PASSES,
        threads=devices.cpu_threads(),
        malloc="recycle",
        budget_s=1.0,
        samples=None,
        timeout_s=TIMEOUT_S,
        seed=0,
    )
    reports: list[DeviceReport] = []
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        fleet = Fleet(settings, Path(folder), reports.append)
        try:
            reply = fleet.ask(naive(name), Probe())
        finally:
            fleet.stop()
    yield from (started(report) for report in reports)
    yield from (missing_mode(mode, why) for report in reports for mode, why in report.missing_modes.items())
    if isinstance(reply, Probed):
        yield from reply.findings
    else:
        reason = reply.reason if isinstance(reply, Failed) else f"unexpected answer {type(reply).__name__}"
        yield Finding(check="device", result="fail", text=reason)


def started(report: DeviceReport) -> Finding:
    """The device and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return Finding(check="device", result="pass", text=f"{report.device_name}; {versions}")


def missing_mode(mode: str, why: str) -> Finding:
    """A mode that cannot run here."""
    return Finding(check=f"mode {mode}", result="not applicable", text=why)


def table(lines: Sequence[Line]) -> Table:
    """One line per finding."""
    found = Table("framework", "device", "check", "result", "details", box=None, pad_edge=False)
    before = ("", "")
    for name, device, finding in lines:
        said = (name, device) if (name, device) != before else ("", "")
        before = (name, device)
        found.add_row(*said, finding.check, Text(finding.result, style=STYLES[finding.result]), Text(finding.text))
    return found
