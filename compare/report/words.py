"""Plain words for what a report's sentences speak of: contenders, kinds of kernels, counts."""

from __future__ import annotations

from collections.abc import Sequence

from compare.findings.conditions import BUSY_MACHINE
from compare.findings.verdicts import Compared
from compare.profile.kinds import Kind
from compare.records import Contender, Measurement

FRAMEWORKS = {"jax": "JAX", "torch": "PyTorch"}
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
    if one.backend not in FRAMEWORKS or other.backend not in FRAMEWORKS or plain[0] == plain[1]:
        return one.name, other.name
    if one.variant == other.variant:
        return plain
    return f"{plain[0]} ({one.variant})", f"{plain[1]} ({other.variant})"


def name_of(contender: Contender) -> str:
    """Mode and framework, with its release where several are compared: ``eager PyTorch``."""
    framework = FRAMEWORKS.get(contender.backend, contender.backend)
    return MODES.get(contender.mode, f"{contender.mode} ") + " ".join(filter(None, (framework, contender.release)))


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


def undecided(each: Compared, row: Measurement, reference: Measurement) -> str:
    """Why there is no verdict."""
    if each.ratio.low <= 1 <= each.ratio.high:
        return "The interval of the ratio holds 1"
    busy = any(notice.code == BUSY_MACHINE for one in (row, reference) for notice in one.warnings)
    return "Other processes used too much of the CPUs" if busy else "The processes lie too far apart"
