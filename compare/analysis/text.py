"""Numbers and names as short text, the same in every report: times in ms, sizes in MB (10^6 bytes)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import floor, isfinite, log10

from compare.backends import BACKENDS
from compare.profile.kinds import Kind
from compare.schema.records import Contender, Problem
from compare.stats.estimates import Estimate

NONE = "–"
MB = 1e6
LEAST_MB = 0.001
GB = 1e9
WIDE_ARM = 0.0995  # of an interval, as a share of its median
TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def significant(value: float, digits: int = 3) -> str:
    """The value to so many significant digits, in plain notation; whole digits are never rounded away."""
    if not isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")  # 0.9996 has its first digit one place further left once rounded
    return f"{value:.{max(digits - 1 - floor(log10(abs(rounded))), 0)}f}"


def roughly(value: float) -> str:
    """The value to two significant digits, where more would pretend to be known: ``about 190``."""
    return f"about {float(f'{value:.1e}'):.0f}" if value >= 10 else f"about {value:.2g}"


def ms(time_s: float) -> str:
    """Seconds as a bare number of milliseconds, for tables that name the unit once."""
    return significant(time_s * 1e3)


def duration(time_s: float) -> str:
    """Seconds in the unit that suits them."""
    size, unit = next(((size, unit) for size, unit in TIME_UNITS if time_s >= size), TIME_UNITS[-1])
    return f"{significant(time_s / size)} {unit}"


def interval(estimate: Estimate) -> str:
    """The longer arm of the 95% interval in percent of the median; ``±?`` where too few rounds give none."""
    percent = estimate.half_width * 100
    if not isfinite(percent):
        return "±?"
    return "±>99%" if percent >= 99.5 else f"±{percent:.1f}%" if percent < 9.95 else f"±{percent:.0f}%"


def time(estimate: Estimate) -> str:
    """Median in ms with its interval: ``4.76 ±0.4%``."""
    return f"{ms(estimate.median)} {interval(estimate)}"


def times(value: float) -> str:
    """A ratio: ``0.81x``."""
    return f"{value:.2f}x" if 0.1 <= value < 10 else f"{significant(value, 2 if value < 0.1 else 3)}x"


def ratio(estimate: Estimate) -> str:
    """A ratio with its interval: ``0.81x ±0.4%``; from 10% on by its ends, as arms differ: ``1.2x [1.01, 1.71]``."""
    if estimate.half_width >= WIDE_ARM and isfinite(estimate.high):
        ends = (times(each).removesuffix("x") for each in (estimate.low, estimate.high))
        return f"{times(estimate.median)} [{', '.join(ends)}]"
    return f"{times(estimate.median)} {interval(estimate)}"


def megabytes(size_bytes: int | None) -> str:
    """Bytes as a bare number of MB, one decimal as in the seed table, more below 0.1 and none from 1000 on."""
    if size_bytes is None:
        return NONE
    value = size_bytes / MB
    if 0 < value < LEAST_MB:
        return f"<{LEAST_MB}"
    return f"{value:.0f}" if value >= 999.95 else f"{value:.1f}" if value >= 0.1 or not value else significant(value, 1)


def size(size_bytes: int | None) -> str:
    """Bytes with their unit, MB below one GB."""
    if size_bytes is None:
        return NONE
    return f"{megabytes(size_bytes)} MB" if size_bytes < GB else f"{size_bytes / GB:.1f} GB"


def percent(share: float) -> str:
    """A share in whole percent, below 10% with one decimal: ``62%``, ``3.1%``."""
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def error(value: float | None) -> str:
    """A relative error: ``3.1e-07``."""
    return NONE if value is None else f"{value:.1e}"


def broken(name: str, width: int) -> str:
    """A name with a break after a colon or a slash or before an ``@`` wherever it would be wider than ``width``."""
    lines = [""]
    for part in re.split(r"(?<=[:/])|(?=@)", name):
        lines[-1:] = (
            [lines[-1] + part] if len(lines[-1] + part) <= width else [line for line in (lines[-1], part) if line]
        )
    return "\n".join(lines)


def one_line(text: str) -> str:
    """Text of a library on one line, without the control characters that could move a terminal's cursor."""
    plain = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 warning``, ``2 warnings``; ``many`` where an s does not make the plural."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


MODES = {"eager": "eager ", "compile": "compiled ", "graph": "graph-launched ", "jit": ""}
MOST_KINDS = 3
KINDS: dict[Kind, str] = {
    "fused attention": "all of attention",
    "matmul": "matrix products",
    "softmax": "softmax",
    "mask": "mask",
    "scale": "scaling",
    "reduction": "sums and maxima",
    "communication": "communication",
    "elementwise": "element-wise work",
    "copy": "copies",
    "memset": "fills",
    "other": "unnamed work",
}


def names_of(one: Contender, other: Contender) -> tuple[str, str]:
    """Two contenders in plain words; as on the command line where the words would not tell them apart."""
    plain = (name_of(one), name_of(other))
    if one.backend not in BACKENDS or other.backend not in BACKENDS or plain[0] == plain[1]:
        return one.name, other.name
    if one.variant == other.variant:
        return plain
    return f"{plain[0]} ({one.variant})", f"{plain[1]} ({other.variant})"


def name_of(contender: Contender) -> str:
    """Mode and framework, with its release where several are compared: ``eager PyTorch``."""
    framework = BACKENDS[contender.backend].title if contender.backend in BACKENDS else contender.backend
    return MODES.get(contender.mode, f"{contender.mode} ") + " ".join(filter(None, (framework, contender.release)))


def kind_of(problem: Problem) -> str:
    """Mask, dtype and precision of a problem: what it is besides its sizes."""
    precision = f" {problem.matmul_precision}" if problem.dtype == "float32" else ""
    return f"{problem.mask} {problem.dtype}{precision}"


def opening(name: str) -> str:
    """The name as it begins a sentence; one of the command line stays as it is typed."""
    return name if ":" in name else name[:1].upper() + name[1:]


def enumerated(kinds: Sequence[Kind]) -> str:
    """The first kinds of a list in words: ``softmax, mask and copies``."""
    words = [KINDS[kind] for kind in kinds[:MOST_KINDS]] or ["everything but the matrix products"]
    words += ["more"] if len(kinds) > MOST_KINDS else []
    return listed(words)


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(count: int, noun: str) -> str:
    """``1 kernel``, ``2 kernels``; where none takes a noticeable share, ``short kernels``."""
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else f"short {noun}s"
