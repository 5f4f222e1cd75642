"""What a job calls: which of the measured problems, and how often each.

A file of weights is TOML or JSON: a list ``calls``, each with a ``weight`` (1 if left out) and any of a problem's
fields, by the names of ``results.jsonl``.  What is left out may be anything; ``preset`` stands for a model's shape.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from compare.plan.presets import PRESETS, Preset
from compare.records import Dtype, Layout, Precision, Problem, Record

MOST_LABELS = 4
Count = Annotated[int, msgspec.Meta(ge=1)]


class Calls(Record, frozen=True):
    """One entry: how often a job calls every problem that has these fields; None: whatever its value."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1e15)] = 1.0
    preset: str | None = None
    batch: Count | None = None
    q_len: Count | None = None
    kv_len: Count | None = None
    heads: Count | None = None
    kv_heads: Count | None = None
    head_dim: Count | None = None
    mask: str | None = None
    dtype: Dtype | None = None
    matmul_precision: Precision | None = None
    seed: int | None = None
    layers: Count | None = None
    layout: Layout | None = None
    devices: Count | None = None

    def fits(self, problem: Problem) -> bool:
        """Whether the entry means this problem."""
        own = (getattr(self, name) in (None, getattr(problem, name)) for name in Problem.__struct_fields__)
        return all(own) and (self.preset is None or has_shape(problem, PRESETS[self.preset]))

    @property
    def words(self) -> str:
        """The entry as it was asked for, without its weight."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name != "weight"}
        return " ".join(f"{name}={value}" for name, value in given.items() if value is not None) or "all"


class Weights(Record, frozen=True):
    """The file."""

    calls: Annotated[tuple[Calls, ...], msgspec.Meta(min_length=1)]


EVERYTHING = (Calls(),)


def read(path: Path) -> tuple[Calls, ...]:
    """The entries of a file.  Raises ValueError that names the file and what is wrong."""
    try:
        text = path.read_bytes()
        content = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text.decode())
        calls = msgspec.convert(content, Weights).calls
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: {error}; possible in an entry of calls: {', '.join(Calls.__struct_fields__)}"
        ) from error
    unknown = [each.preset for each in calls if each.preset is not None and each.preset not in PRESETS]
    if unknown:
        raise ValueError(f"{path}: preset: expected one of {', '.join(PRESETS)}, got {unknown[0]!r}")
    return calls


def has_shape(problem: Problem, preset: Preset) -> bool:
    """Whether a problem is the attention of a model, in whatever dtype."""
    sizes = (problem.batch, problem.q_len, problem.kv_len, problem.heads, problem.kv_heads, problem.head_dim)
    keys = preset.kv_len or preset.seq_len
    shape = (preset.batch, preset.seq_len, keys, preset.heads, preset.kv_heads, preset.head_dim)
    return (*sizes, problem.mask) == (*shape, preset.mask)


def mixed(problems: Iterable[Problem], calls: Sequence[Calls]) -> dict[Problem, float]:
    """The problems that are called, with their weights.  Raises ValueError for an entry that is none of them or two."""
    known = tuple(dict.fromkeys(problems))
    for entry in calls:
        if not any(map(entry.fits, known)):
            raise ValueError(f"no measured problem has {entry.words}; measured: {labels(known)}")
    found: dict[Problem, float] = {}
    for problem in known:
        fitting = [entry for entry in calls if entry.fits(problem)]
        if len(fitting) > 1:
            raise ValueError(f"two entries have {problem.label}: {fitting[0].words}, and {fitting[1].words}")
        if fitting:
            found[problem] = fitting[0].weight
    return found


def labels(problems: Sequence[Problem]) -> str:
    """The first few problems in words."""
    more = f" and {len(problems) - MOST_LABELS} more" if len(problems) > MOST_LABELS else ""
    return "; ".join(problem.label for problem in problems[:MOST_LABELS]) + more
