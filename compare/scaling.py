"""Rows -> what several devices that share a sequence are worth, against one device at the same sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from compare.analysis import measurements
from compare.records import PASSES, Measurement, PassName, Row
from compare.remedies import highest, peaks
from compare.summary import Estimate, trusted, unpaired_ratio


class Scaled(msgspec.Struct, frozen=True):
    """One row of several devices beside one device's, which was measured by itself.

    ``speed_up``: the time of one device over theirs.  ``efficiency``: that per device, 1 where D devices take a D-th of
    the time.  ``peak``: the fullest device's peak over that of the one.
    """

    row: Measurement
    base: Measurement
    speed_up: dict[PassName, Estimate]
    efficiency: dict[PassName, Estimate]
    peak: float | None


def scaled(rows: Iterable[Row]) -> list[Scaled]:
    """Every row of several devices that has a base."""
    known = [row for row in measurements(rows) if trusted(row)]
    single = [row for row in known if row.problem.devices == 1]
    found = ((row, base_of(row, single)) for row in known if row.problem.devices > 1)
    return [beside(row, base) for row, base in found if base is not None]


def base_of(row: Measurement, rows: Sequence[Measurement]) -> Measurement | None:
    """One device of the same backend on the same problem: `fused` if that was measured, else the same variant."""
    alone = replace(row.problem, devices=1)
    fitting = [each for each in rows if each.problem == alone and each.contender.backend == row.contender.backend]
    fitting = [each for each in fitting if each.contender.variant in ("fused", row.contender.variant)]

    def rank(each: Measurement) -> tuple[bool, bool]:
        return each.contender.variant != "fused", each.contender.mode != row.contender.mode

    return min(fitting, key=rank, default=None)


def beside(row: Measurement, base: Measurement) -> Scaled:
    """A row beside its base."""
    names = [name for name in PASSES if name in row.passes and name in base.passes]
    speed_up = {name: unpaired_ratio(base.passes[name], row.passes[name]) for name in names}
    part, whole = peaks(row, base)
    return Scaled(
        row=row,
        base=base,
        speed_up=speed_up,
        efficiency={name: _divided(each, row.problem.devices) for name, each in speed_up.items()},
        peak=part / whole if highest(row) and part is not None and whole else None,
    )


def _divided(estimate: Estimate, by: int) -> Estimate:
    return msgspec.structs.replace(
        estimate,
        median=estimate.median / by,
        low=estimate.low / by,
        high=estimate.high / by,
        by_process=tuple(each / by for each in estimate.by_process),
    )
