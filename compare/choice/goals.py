"""What a choice is by: time of a forward pass, time of a training step, or memory; and which rows can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from compare.findings.gather import outcome_of
from compare.findings.summary import device_rounds, processes_of, trusted, wall_rounds
from compare.profile.naivety import NOT_NAIVE
from compare.records import RESIDENT, Measurement, PassName, PassResult, Row

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
        return "its numbers disagree" if row.agreement else "its numbers were not judged"
    names = passes_for(row, goal)
    if not names:
        return "the pass was not measured" if goal == "latency" else "training was not measured"
    fused = tuple(notice.text for notice in row.warnings if notice.code == NOT_NAIVE)
    if any(text.startswith(f"{name}:") for text in fused for name in names):
        return "called naive, but its compiler fused it"
    if row.alone:
        return "had the device to itself, so it took no turns with the others"
    if limit_bytes is not None and peak_bytes(row, goal) > limit_bytes:
        return OVER_LIMIT
    return ""
