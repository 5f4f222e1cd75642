"""What several devices that share a sequence gain over one device at the same sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from compare.analysis import roofline
from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number
from compare.analysis.solutions import highest, peaks, share
from compare.machine import load
from compare.maths.traffic import sent_bytes
from compare.results.rows import measurements
from compare.schema.records import PASSES, LinkRate, Measurement, PassName, Row, Run
from compare.stats.estimates import Estimate, busy, device_time, trusted, unpaired_ratio
from compare.variants import description

ORDER = 30
NOTE = (
    "Each row is compared with one device of the same framework on the same problem: fused where that was measured, "
    "else the same variant. The two were measured one after the other, not in turns. Time: of the slowest device. "
    "Speedup: one device's time over theirs; in brackets its share of D, the ideal. Peak: of the fullest device. "
    "On a CPU the devices are simulated and share its cores: their times do not predict those of real devices."
)
BUSY = "busy machine"
BUSY_NOTE = (
    f"{BUSY}: other processes used more than {load.BUSY:.0%} of the CPUs while one of the two was sampled, and may "
    "explain the figure. End them and rerun."
)
COMMUNICATION = (
    "What a device sends and receives in the iteration whose kernels are listed. Communicating: how long the busiest "
    "device sent, received or waited for others. Hidden: the share of that during which it computed. Sent: what each "
    "device sends in a pass, by its scheme. Least: one device's time divided by D, or the time to send at the link's "
    "rate (of the backends the better one), whichever is longer; in brackets its share of the measured time."
)
COMMUNICATION_COLUMNS = (
    Column("Problem"),
    Column("Contender"),
    number("D"),
    Column("Pass"),
    number("device time", "ms"),
    number("communicating", "ms"),
    number("hidden"),
    number("sent", "MB"),
    number("least", "ms"),
)


class Scaled(msgspec.Struct, frozen=True):
    """One row of several devices beside one device's, which was measured by itself.

    ``speed_up``: the time of one device over theirs.  ``efficiency``: that per device, 1 where D devices take a D-th of
    the time.  ``peak``: the fullest device's peak over that of the one.  ``least_s``: a D-th of one device's time, or
    what sending takes over the link by itself, whichever is longer; without a pass whose bytes are not known.
    """

    row: Measurement
    base: Measurement
    speed_up: dict[PassName, Estimate]
    efficiency: dict[PassName, Estimate]
    peak: float | None
    least_s: dict[PassName, float]


def scaled(rows: Iterable[Row], links: Iterable[LinkRate] = ()) -> list[Scaled]:
    """Every row of several devices that has a base."""
    known = [row for row in measurements(rows) if trusted(row)]
    single = [row for row in known if row.problem.devices == 1]
    rates = {each.devices: each.bytes_per_s for each in sorted(links, key=lambda each: each.bytes_per_s or 0)}
    found = ((row, base_of(row, single)) for row in known if row.problem.devices > 1)
    return [beside(row, base, rates.get(row.problem.devices)) for row, base in found if base is not None]


def base_of(row: Measurement, rows: Sequence[Measurement]) -> Measurement | None:
    """One device of the same backend on the same problem: `fused` if that was measured, else the same variant."""
    alone = replace(row.problem, devices=1)
    fitting = [each for each in rows if each.problem == alone and each.contender.home == row.contender.home]
    fitting = [each for each in fitting if each.contender.variant in ("fused", row.contender.variant)]

    def rank(each: Measurement) -> tuple[bool, bool]:
        return each.contender.variant != "fused", each.contender.mode != row.contender.mode

    return min(fitting, key=rank, default=None)


def beside(row: Measurement, base: Measurement, link_bytes_per_s: float | None = None) -> Scaled:
    """A row beside its base."""
    names = [name for name in PASSES if name in row.passes and name in base.passes]
    doubtful = busy(row) or busy(base)
    speed_up = {name: replace(unpaired_ratio(base.passes[name], row.passes[name]), busy=doubtful) for name in names}
    part, whole = peaks(row, base)
    return Scaled(
        row=row,
        base=base,
        speed_up=speed_up,
        efficiency={name: _divided(each, row.problem.devices) for name, each in speed_up.items()},
        peak=part / whole if highest(row) and part is not None and whole else None,
        least_s={name: least for name in names if (least := least_s(row, base, name, link_bytes_per_s)) is not None},
    )


def least_s(row: Measurement, base: Measurement, name: PassName, link_bytes_per_s: float | None) -> float | None:
    """The least time of a pass of so many devices, as `Scaled` says; None where sending or the link is not known."""
    bytes_sent = sent(row, name)
    computing_s = device_time(base.passes[name]).median / row.problem.devices
    return None if bytes_sent is None or link_bytes_per_s is None else max(computing_s, bytes_sent / link_bytes_per_s)


def sent(row: Measurement, name: PassName) -> int | None:
    """Bytes that each device sends in a pass, by the scheme of the row's variant."""
    found = description(row.contender.backend, row.contender.variant)
    return sent_bytes(found.exchange, row.problem, name) if found else None


def _divided(estimate: Estimate, by: int) -> Estimate:
    return replace(
        estimate,
        median=estimate.median / by,
        low=estimate.low / by,
        high=estimate.high / by,
        by_process=tuple(each / by for each in estimate.by_process),
    )


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """A line for each row of several devices that has a base, then one for each of their passes."""
    found = scaled(rows, run.links)
    if not found:
        return []
    names = [name for name in PASSES if any(name in each.speed_up for each in found)]
    disturbed = any(ratio.busy for each in found for ratio in each.speed_up.values())
    heads = (Column("Problem"), Column("Contender"), Column("Compared with"), number("D"))
    speedups = Table((*heads, *map(number, names), number("peak")), [speedup_line(each, names) for each in found])
    passes = [pass_line(each, name) for each in found for name in names if name in each.speed_up]
    links = [f"{link.backend}, {roofline.link_line(link)}." for link in run.links]
    return [
        Section("Several devices", [NOTE, BUSY_NOTE if disturbed else ""], [speedups]),
        Section("Communication of several devices", [COMMUNICATION], [Table(COMMUNICATION_COLUMNS, passes)], links),
    ]


def speedup_line(each: Scaled, names: Sequence[PassName]) -> list[str]:
    """One row beside its base."""
    contenders = (code(each.row.contender.name), code(each.base.contender.name))
    speedups = (speedup_cell(each, name) for name in names)
    return [each.base.problem.label, *contenders, str(each.row.problem.devices), *speedups, share(each.peak)]


def speedup_cell(each: Scaled, name: PassName) -> str:
    """Speedup and efficiency of a pass, marked where the machine was busy."""
    if name not in each.speed_up:
        return fmt.NONE
    speedup = each.speed_up[name]
    return f"{fmt.ratio(speedup)} ({fmt.percent(each.efficiency[name].median)})" + f"\n{BUSY}" * speedup.busy


def pass_line(each: Scaled, name: PassName) -> list[str]:
    """What one pass of a row communicates, and its least time."""
    row, result = each.row, each.row.passes[name]
    time_s, least, sent_s = device_time(result).median, each.least_s.get(name), result.communication_s
    return [
        each.base.problem.label,
        code(row.contender.name),
        str(row.problem.devices),
        name,
        fmt.ms(time_s),
        fmt.NONE if sent_s is None else fmt.ms(sent_s),
        fmt.percent(result.hidden_s / sent_s) if sent_s and result.hidden_s is not None else fmt.NONE,
        fmt.megabytes(sent(row, name)),
        fmt.NONE if least is None else f"{fmt.ms(least)} ({fmt.percent(least / time_s)})",
    ]
