"""The errors of each contender beside what is allowed, and how much was checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number
from compare.results.rows import by_contender, measurements
from compare.schema.records import PASSES, Agreement, Contender, Measurement, PassName, Row, Run, TensorError

ORDER = 80
TITLE = "Numeric agreement"
NOTE = (
    "Errors are row-relative, against the float64 oracle. A line shows, of all problems, the error that comes nearest "
    "to what is allowed, or exceeds it most."
)
ERRORS = (
    Column("Contender"),
    Column("Tensor"),
    number("Max error"),
    number("allowed max"),
    number("RMS error"),
    number("allowed RMS"),
    Column("Verdict"),
)
GAPS = (
    Column("Contender"),
    number("Problems"),
    number("Disagree"),
    number("Slices checked"),
    Column("Widest gap to"),
    number("Gap"),
    number("allowed gap"),
)


class WorstError(msgspec.Struct, frozen=True):
    """The errors of one tensor that come nearest to (or go farthest past) what is allowed, over all problems."""

    contender: Contender
    tensor: str
    max_error: float
    allowed_max: float
    rms_error: float
    allowed_rms: float
    agrees: bool


def worst_errors(rows: Iterable[Row]) -> list[WorstError]:
    """One worst error per contender and tensor."""
    found: dict[tuple[Contender, str], list[TensorError]] = {}
    for row in measurements(rows):
        for error in row.agreement.tensors if row.agreement else ():
            found.setdefault((row.contender, error.tensor), []).append(error)
    return [worst_error(contender, tensor, errors) for (contender, tensor), errors in found.items()]


def worst_error(contender: Contender, tensor: str, errors: Sequence[TensorError]) -> WorstError:
    """The worst maximum and the worst root mean square, each beside its own allowance."""
    by_max = max(errors, key=lambda e: share(e.max_error, e.allowed_max))
    by_rms = max(errors, key=lambda e: share(e.rms_error, e.allowed_rms))
    return WorstError(
        contender,
        tensor,
        by_max.max_error,
        by_max.allowed_max,
        by_rms.rms_error,
        by_rms.allowed_rms,
        all(error.agrees for error in errors),
    )


def share(error: float, allowed: float) -> float:
    """The error as a share of what is allowed; a NaN is the worst of all."""
    if error == 0:
        return 0.0
    return error / allowed if allowed and error == error else float("inf")


def worst_of(row: Measurement, passes: Collection[PassName] = PASSES) -> TensorError | None:
    """The tensor of a row that comes nearest to its allowance, of these passes (``forward.out``, ``step.dq`` ...)."""
    others = set(PASSES) - set(passes)
    known = row.agreement.tensors if row.agreement else ()
    tensors = (each for each in known if each.tensor.partition(".")[0] not in others)
    return max(tensors, key=lambda e: share(e.max_error, e.allowed_max), default=None)


class Checked(msgspec.Struct, frozen=True):
    """How much of a contender's numbers was checked, and its worst gap to another contender."""

    contender: Contender
    problems: int
    disagreeing: int
    checked_slices: int
    slices: int
    other: str | None
    other_error: float | None
    other_allowed: float | None


def checked(rows: Iterable[Row]) -> list[Checked]:
    """One line per contender that has a verdict."""
    verdicts = {c: [r.agreement for r in measurements(group) if r.agreement] for c, group in by_contender(rows)}
    return [checked_one(contender, found) for contender, found in verdicts.items() if found]


def checked_one(contender: Contender, verdicts: Sequence[Agreement]) -> Checked:
    """The sum of the slices and the widest cross-framework gap of one contender."""
    gaps = [v for v in verdicts if v.other_error is not None]
    widest = max(gaps, key=lambda v: share(v.other_error or 0.0, v.other_allowed or 0.0), default=None)
    return Checked(
        contender,
        len(verdicts),
        sum(not verdict.agrees for verdict in verdicts),
        sum(verdict.checked_slices for verdict in verdicts),
        sum(verdict.slices for verdict in verdicts),
        widest.other if widest else None,
        widest.other_error if widest else None,
        widest.other_allowed if widest else None,
    )


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """Errors of each tensor, then how much was checked and the gaps; in brief, the rows that disagree."""
    errors = [error_line(worst) for worst in worst_errors(rows)]
    if not errors:
        return [Section(TITLE, ["No row was compared with the oracle."])]
    gaps = [checked_line(each) for each in checked(rows)]
    wrong = [wrong_line(row, row.agreement) for row in measurements(rows) if row.agreement and not row.agreement.agrees]
    return [Section(TITLE, [NOTE], [Table(ERRORS, errors), Table(GAPS, gaps)], brief=wrong)]


def error_line(worst: WorstError) -> list[str]:
    """One line of the table of errors."""
    values = (worst.max_error, worst.allowed_max, worst.rms_error, worst.allowed_rms)
    return [code(worst.contender.name), worst.tensor, *map(fmt.error, values), "ok" if worst.agrees else "WRONG"]


def checked_line(found: Checked) -> list[str]:
    """One line of the table of gaps."""
    share_checked = f"{found.checked_slices} of {found.slices}"
    other = code(found.other) if found.other else fmt.NONE
    gap = map(fmt.error, (found.other_error, found.other_allowed))
    return [code(found.contender.name), str(found.problems), str(found.disagreeing), share_checked, other, *gap]


def wrong_line(row: Measurement, found: Agreement) -> str:
    """What of a row's numbers disagrees, by how much, and what is allowed."""
    off = [
        f"{each.tensor} off by {fmt.error(each.max_error)} (allowed {fmt.error(each.allowed_max)}), "
        f"rms {fmt.error(each.rms_error)} ({fmt.error(each.allowed_rms)})"
        for each in found.tensors
        if not each.agrees
    ]
    if not off:
        other = code(found.other or fmt.NONE)
        off = [f"{fmt.error(found.other_error)} from {other} (allowed {fmt.error(found.other_allowed)})"]
    return f"WRONG {code(row.contender.name)}: {'; '.join(off)} [{row.problem.label}]"
