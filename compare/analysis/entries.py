"""Rows -> an entry for each pass with all that is known of it, for tables to sort and filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from compare.analysis.accuracy import worst_of
from compare.analysis.roofline import Achieved, Rates, achieved, best_rates
from compare.results.rows import by_problem, measurements
from compare.schema.records import Contender, Cost, Measurement, PassName, PassResult, Row, Run, TensorError
from compare.stats.estimates import Estimate, device_time, ratio, reference_of, trusted, wall_time
from compare.stats.verdicts import Verdict, verdict


class Entry(msgspec.Struct, frozen=True):
    """One pass of one row; of a row without numbers the row alone.

    ``reference``: the contender that ratios of this problem refer to, None where there is nothing to compare.
    ``ratio`` and ``verdict`` are None where no ratio would be fair.  ``kernels``: how many ran in one iteration, of a
    GPU only, as ops of a CPU nest.
    """

    row: Row
    pass_name: PassName | None = None
    device: Estimate | None = None
    wall: Estimate | None = None
    reference: Contender | None = None
    ratio: Estimate | None = None
    verdict: Verdict | None = None
    achieved: Achieved | None = None
    kernels: int | None = None

    @property
    def result(self) -> PassResult | None:
        """What was recorded of the pass."""
        measured = isinstance(self.row, Measurement) and self.pass_name
        return self.row.passes[self.pass_name] if measured else None  # type: ignore[union-attr, index]

    @property
    def cost(self) -> Cost | None:
        """What was paid before the first sample of the pass."""
        return self.row.costs.get(self.pass_name or "") if isinstance(self.row, Measurement) else None

    @property
    def worst(self) -> TensorError | None:
        """The tensor of the row that comes nearest to its allowance."""
        return worst_of(self.row) if isinstance(self.row, Measurement) else None

    @property
    def key(self) -> str:
        """The same for the same problem, contender and pass in every report, and in no other row of this one."""
        identity = msgspec.json.encode((self.row.problem, self.row.contender, self.pass_name))
        return sha256(identity).hexdigest()[:16]


def entries(run: Run, rows: Sequence[Row]) -> Iterator[Entry]:
    """All entries, in the order of the rows of each problem."""
    for problem, group in by_problem(rows):
        measured = measurements(group)
        reference = reference_of(measured) if len(measured) > 1 else None
        rates = best_rates(run.rates, problem.dtype, problem.matmul_precision)
        for row in group:
            if isinstance(row, Measurement):
                yield from (entry(run, row, reference, rates, name) for name in row.passes)
            else:
                yield Entry(row)


def entry(run: Run, row: Measurement, reference: Measurement | None, rates: Rates, name: PassName) -> Entry:
    """One pass of one measured row."""
    relative, result = ratio(row, reference, name), row.passes[name]
    return Entry(
        row,
        name,
        device_time(result),
        wall_time(result),
        reference.contender if reference else None,
        relative,
        verdict(relative, run.settings.same_within) if relative else None,
        achieved(row, name, rates) if trusted(row) else None,
        sum(kernel.count for kernel in result.kernels) if run.settings.device == "gpu" else None,
    )
