"""Rows -> what several devices that share a sequence are worth, against one device at the same sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from compare.analysis.solutions import highest, peaks
from compare.maths.traffic import sent_bytes
from compare.results.rows import measurements
from compare.schema.records import PASSES, LinkRate, Measurement, PassName, Row
from compare.stats.estimates import Estimate, busy, device_time, trusted, unpaired_ratio


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
    sent = sent_bytes(row.contender.variant, row.problem, name)
    computing_s = device_time(base.passes[name]).median / row.problem.devices
    return None if sent is None or link_bytes_per_s is None else max(computing_s, sent / link_bytes_per_s)


def _divided(estimate: Estimate, by: int) -> Estimate:
    return replace(
        estimate,
        median=estimate.median / by,
        low=estimate.low / by,
        high=estimate.high / by,
        by_process=tuple(each / by for each in estimate.by_process),
    )
