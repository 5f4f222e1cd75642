"""The exit codes of all commands."""

from __future__ import annotations

from collections.abc import Sequence

from compare.schema.records import Failure, Measurement, Row

OK, DISAGREEMENT, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
REGRESSION = 1


def exit_code(rows: Sequence[Row]) -> int:
    """0: all measured or skipped, out of memory included; 1: a disagreement; 3: a failure, or an unverified row."""
    if any(isinstance(row, Measurement) and row.agreement and not row.agreement.agrees for row in rows):
        return DISAGREEMENT
    failed = any(isinstance(row, Failure) and row.status != "OOM" for row in rows)
    unverified = any(isinstance(row, Measurement) and row.agreement is None for row in rows)
    return FAILED if failed or unverified else OK
