"""A workload: which of the measured problems it calls and how often, what shall be short, and sums over them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from math import hypot, inf, isfinite
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from compare.plan.presets import PRESETS, Preset
from compare.profile.kinds import NOT_NAIVE
from compare.results.rows import outcome_of
from compare.schema.records import (
    RESIDENT,
    Dtype,
    Layout,
    Measurement,
    PassName,
    PassResult,
    Precision,
    Problem,
    Record,
    Row,
)
from compare.stats.estimates import (
    Estimate,
    device_rounds,
    estimate,
    joined,
    processes_of,
    ratios_by_process,
    trusted,
    wall_rounds,
)

Goal = Literal["latency", "training", "memory"]
GOALS: tuple[Goal, ...] = ("latency", "training", "memory")
OVER_LIMIT = "over the memory limit"


def passes_for(row: Measurement, goal: Goal) -> tuple[PassName, ...]:
    """The passes that a job of the goal runs, as far as they were measured; empty where one is missing.

    Training is the step, or where that was not measured the forward and the backward pass.  Memory is what training
    needs, or where only the forward pass was measured, what that needs.
    """
    training: tuple[tuple[PassName, ...], ...] = (("step",), ("forward", "backward"))
    ways = {"latency": (("forward",),), "training": training, "memory": (*training, ("forward",))}[goal]
    return next((names for names in ways if all(name in row.passes for name in names)), ())


def timed(row: Measurement, goal: Goal) -> PassResult:
    """The samples of the goal: of one pass, or of two that took their turns in the same rounds."""
    first, *others = [row.passes[name] for name in passes_for(row, goal)]
    return _both(first, others[0]) if others else first


def _both(forward: PassResult, backward: PassResult) -> PassResult:
    """Two passes as one, a sample a round."""
    one, two = processes_of(forward), processes_of(backward)
    summed = {
        at: replace(
            one[at],
            device_s=_summed(device_rounds(one[at]), device_rounds(two[at])),
            wall_s=_summed(wall_rounds(one[at]), wall_rounds(two[at])),
            per_round=1,
            repeats={},
        )
        for at in one
    }
    return replace(summed[1], repeats={at: each for at, each in summed.items() if at > 1})


def _summed(one: Sequence[float], two: Sequence[float]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(one, two, strict=True))


def by_wall(result: PassResult) -> PassResult:
    """The same with wall times in the place of device times."""
    repeats = {at: by_wall(each) for at, each in result.repeats.items()}
    return replace(result, device_s=result.wall_s, repeats=repeats)


def peak_bytes(row: Measurement, goal: Goal) -> int:
    """The highest peak of the goal's passes; where backward is one by itself, on top of what is saved for it."""
    return _peak(row, goal)[0]


def varies(row: Measurement, goal: Goal) -> bool:
    """Whether that peak is growth of resident memory and no count."""
    return _peak(row, goal)[1]


def _peak(row: Measurement, goal: Goal) -> tuple[int, bool]:
    names = passes_for(row, goal)
    saved = (row.saved_bytes or 0) if "backward" in names else 0
    return max(
        (each.peak_bytes + saved * (name == "backward"), each.peak_source == RESIDENT)
        for name in names
        for each in (row.passes[name],)
    )


def compile_s(row: Measurement, goal: Goal) -> float:
    """Tracing and compiling what the goal runs.  PyTorch's step has no program of its own, but that of ``backward``."""
    spent = {name: cost.trace_s + cost.compile_s for name, cost in row.costs.items()}
    own = sum(spent.get(name, 0.0) for name in passes_for(row, goal))
    return own or (spent.get("backward", 0.0) if "step" in passes_for(row, goal) else 0.0)


def objection(row: Row | None, goal: Goal, limit_bytes: int | None) -> str:
    """Why a row cannot be compared with the others of its problem; empty where it can."""
    if row is None:
        return "was not measured"
    if not isinstance(row, Measurement):
        return f"{outcome_of(row)}: {row.reason}"
    if not trusted(row):
        return "its numbers disagree" if row.agreement else "its numbers were not verified"
    names = passes_for(row, goal)
    if not names:
        return "the pass was not measured" if goal == "latency" else "training was not measured"
    fused = {notice.pass_name for notice in row.warnings if notice.code == NOT_NAIVE}
    if fused.intersection(names):
        return "called naive, but its compiler fused it"
    if row.alone:
        return "was measured alone, not in turns with the others"
    if limit_bytes is not None and peak_bytes(row, goal) > limit_bytes:
        return OVER_LIMIT
    return ""


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


def total(calls: Sequence[float], results: Sequence[PassResult]) -> Estimate:
    """Device time of so many calls of each, in seconds."""
    found = [times_by_process(result) for result in results]
    return joined([_sum(calls, [each[at] for each in found]) for at in _shared(found)])


def ratio_of_totals(calls: Sequence[float], ours: Sequence[PassResult], reference: Sequence[PassResult]) -> Estimate:
    """The total over the reference's: the ratio of each problem within rounds, by its share of the reference's time."""
    ratios = [ratios_by_process(*pair) for pair in zip(ours, reference, strict=True)]
    times = [times_by_process(result) for result in reference]
    return joined([_mean(calls, [each[at] for each in ratios], [each[at] for each in times]) for at in _shared(ratios)])


def times_by_process(result: PassResult) -> dict[int, Estimate]:
    """Device time of one iteration in each process, by its number."""
    return {at: estimate(device_rounds(each)) for at, each in processes_of(result).items()}


def _shared(found: Sequence[Mapping[int, Estimate]]) -> list[int]:
    """The processes that every problem has."""
    return [at for at in found[0] if all(at in each for each in found)]


def _sum(calls: Sequence[float], times: Sequence[Estimate]) -> Estimate:
    parts = list(zip(calls, times, strict=True))
    down = hypot(*(n * (time.median - time.low) for n, time in parts))
    up = hypot(*(n * (time.high - time.median) for n, time in parts))
    middle = sum(n * time.median for n, time in parts)
    return Estimate(middle, max(middle - down, 0.0), middle + up, min(time.rounds for time in times))


def _mean(calls: Sequence[float], ratios: Sequence[Estimate], times: Sequence[Estimate]) -> Estimate:
    """The ratio of two sums: the mean of the problems' ratios, by shares of the reference's time.

    A problem errs by the arm of its ratio, and where that is not the mean, by the error of its share too.  Both come
    from the same rounds, so they are added plainly before those of several problems are in squares.
    """
    whole = sum(n * time.median for n, time in zip(calls, times, strict=True))
    shares = [n * time.median / whole for n, time in zip(calls, times, strict=True)]
    middle = sum(share * ratio.median for share, ratio in zip(shares, ratios, strict=True))
    rounds = min(ratio.rounds for ratio in ratios)
    if not all(isfinite(each.high) for each in (*ratios, *times)):
        return Estimate(middle, 0.0, inf, rounds)
    shifts = [abs(ratio.median - middle) * time.half_width for ratio, time in zip(ratios, times, strict=True)]
    parts = list(zip(shares, ratios, shifts, strict=True))
    down = hypot(*(share * (ratio.median - ratio.low + shift) for share, ratio, shift in parts))
    up = hypot(*(share * (ratio.high - ratio.median + shift) for share, ratio, shift in parts))
    return Estimate(middle, max(middle - down, 0.0), middle + up, rounds)
