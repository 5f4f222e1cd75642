"""Helpers for the variant tests: build problems, run a variant, and verify its results as the program does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from msgspec.structs import replace

from compare.backends import BACKENDS, backend
from compare.maths import inputs
from compare.schema.contract import Variant, parse_mask, unsupported
from compare.schema.records import PASSES, Agreement, Case, Contender, PassName, Problem, TensorError
from compare.variants import refuses, sharing, variants
from compare.worker import composing
from tests.variants import conformance

Array = np.ndarray[Any, Any]
Named = tuple[str, str]  # a backend and its variant
# What several devices share is `fused` on one: tests/parallel has those.
ALL = [(name, each) for name in BACKENDS for each in variants(name) if each not in sharing(name)]
NEED_A_GPU = {
    *(("jax", name) for name in ("fused_cudnn", "tokamax_mosaic", "tokamax_triton")),
    *(("torch", name) for name in ("fused_cudnn", "fused_efficient", "varlen")),
}
HERE = [named for named in ALL if named not in NEED_A_GPU]
TENSORS = ("out", "dq", "dk", "dv")
MASKS = ("full", "causal", "window:3", "strided:4")


@cache
def adapter_of(name: str) -> Any:
    """The backend's adapter, opened once, in this process: the parent program never does this."""
    return import_module(f"{backend(name).package}.adapter").Adapter("cpu", 1)


def attention_of(named: Named) -> Callable[..., Any]:
    """A variant's function."""
    name, variant = named
    found: Callable[..., Any] = import_module(f"{backend(name).package}.variants.{variant}").attention
    return found


def description_of(named: Named) -> Variant:
    """What a variant says of itself."""
    name, variant = named
    found: Variant = import_module(f"{backend(name).package}.variants.{variant}").VARIANT
    return found


def problem(
    mask: str = "causal",
    heads: tuple[int, int] = (4, 2),
    lengths: tuple[int, int] = (6, 9),
    batch: int = 2,
    head_dim: int = 5,
    dtype: Any = "float32",
    **special: Any,
) -> Problem:
    """A small problem."""
    return Problem(
        batch=batch,
        q_len=lengths[0],
        kv_len=lengths[1],
        heads=heads[0],
        kv_heads=heads[1],
        head_dim=head_dim,
        mask=mask,
        dtype=dtype,
        matmul_precision="ieee",
        seed=3,
        **special,
    )


@cache
def foresees(named: Named) -> bool:
    """Whether a variant says beforehand what it refuses."""
    return refuses(*named)


def foreseen(named: Named, where: Problem, trained: bool = True) -> str:
    """Why a variant will refuse a problem, by its description and its `refusal`; empty where it does not."""
    name, variant = named
    if reason := unsupported(variant, description_of(named), parse_mask(where.mask)):
        return reason
    if not foresees(named):
        return ""
    case = Case(problem=where, contender=Contender(backend=name, variant=variant, mode=""))
    return composing.foreseen(backend(name).package, case, trained, adapter_of(name))


def computed(
    named: Named,
    problem: Problem,
    arrays: inputs.Inputs,
    scale: float | None = None,
    mode: str = "",
    passes: Sequence[PassName] = PASSES,
) -> dict[str, Array]:
    """``pass.tensor`` -> array of the passes, through the adapter as the worker does it."""
    adapter, attention, entry = adapter_of(named[0]), attention_of(named), backend(named[0])
    return conformance.computed(
        adapter, entry.package, attention, problem, arrays, mode or entry.modes[0], scale, passes
    )


def judged(problem: Problem, arrays: inputs.Inputs, found: dict[str, Array], scale: float | None = None) -> Agreement:
    """The program's agreement check.  It takes its scale from the head size, so an explicit one is put there."""
    shapes = dict(zip(TENSORS, (arrays[3].shape, *(each.shape for each in arrays[:3])), strict=True))
    assert {key: array.shape for key, array in found.items()} == {key: shapes[key.split(".")[1]] for key in found}
    if scale is not None:
        problem = replace(problem, head_dim=round(scale**-2))
    return conformance.agreement(problem, "cpu", arrays, found)


def wrong(named: Named, problem: Problem, passes: Sequence[PassName] = PASSES) -> list[str]:
    """The tensors of a problem that do not agree, with their errors."""
    arrays = inputs.draw(problem)
    verdict = judged(problem, arrays, computed(named, problem, arrays, passes=passes))
    found = [each for each in verdict.tensors if not each.agrees and not rough(named, problem, each)]
    if not found and not verdict.agrees and all(each.agrees for each in verdict.tensors):
        return ["the passes differ"]
    return [f"{each.tensor}: {each.max_error:.1e}, allowed {each.allowed_max:.1e}" for each in found]


def rough(named: Named, problem: Problem, error: TensorError) -> bool:
    """Whether an error is one that PyTorch's flash kernel for CPUs makes: the largest of dV in 16 bits.

    Of heads that share keys it is up to five times that of naive attention, of which three are allowed; the root mean
    square stays within the rule.  A run calls such a row a disagreement, as it should.
    """
    flash = named in (("torch", "fused_flash"), ("torch", "fused")) and problem.dtype != "float32"
    within = error.max_error <= 5 / 3 * error.allowed_max and error.rms_error <= error.allowed_rms
    return flash and error.tensor.endswith(".dv") and problem.heads > problem.kv_heads and within
