"""Verification accepts correct results and catches every way of being wrong that we could think of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from compare.maths import inputs, oracle
from compare.maths.inputs import cut_bits, keep_bits
from compare.measure import verification
from compare.schema.contract import parse_mask
from compare.schema.records import DTYPES, Precision, Problem
from tests.judging.contenders import (
    ALL,
    LONGER,
    PROBLEM,
    WINDOW,
    Mutant,
    errors_of,
    naive,
    one_nan,
    one_row,
    touched,
    verified,
    wrong_tensors,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", ["full", "causal", "window:8", "strided:4"])
def test_a_correct_naive_agrees(tmp_path: Path, dtype: str, mask: str) -> None:
    problem = replace(PROBLEM, dtype=dtype, mask=mask)
    verdict = verified(tmp_path, problem, {"naive": naive(problem)})["naive"]
    assert verdict.agrees
    assert {each.tensor for each in verdict.tensors} == ALL
    assert all(0 < each.max_error <= each.allowed_max < 0.1 for each in verdict.tensors)
    assert (verdict.checked_slices, verdict.slices) == (4, 4)


@pytest.mark.parametrize("shape", [{"kv_len": 24}, {"q_len": 24}, {"kv_heads": 1}, {"kv_heads": 4}], ids=str)
def test_a_correct_naive_agrees_in_other_shapes(tmp_path: Path, shape: dict[str, int]) -> None:
    problem = replace(PROBLEM, **shape)
    assert verified(tmp_path, problem, {"naive": naive(problem)})["naive"].agrees


def test_the_truth_itself_agrees(tmp_path: Path) -> None:
    q, k, v, do = (x.astype(np.float64) for x in inputs.draw(PROBLEM))
    exact = {name: np.empty(array.shape) for name, array in naive(PROBLEM).items()}
    for b, head in np.ndindex(PROBLEM.batch, PROBLEM.kv_heads):
        heads = slice(2 * head, 2 * head + 2)
        one = [q[b, :, heads].swapaxes(0, 1), k[b, :, head], v[b, :, head], do[b, :, heads].swapaxes(0, 1)]
        truth, _ = oracle.attention_with_gradients(*one, parse_mask(PROBLEM.mask), PROBLEM.head_dim**-0.5, oracle.EXACT)
        exact["forward.out"][b, :, heads] = truth.out.swapaxes(0, 1)
        exact["backward.dq"][b, :, heads] = truth.dq.swapaxes(0, 1)
        exact["backward.dk"][b, :, head], exact["backward.dv"][b, :, head] = truth.dk, truth.dv
    verdict = verified(tmp_path, PROBLEM, {"exact": exact})["exact"]
    assert verdict.agrees
    assert [each.max_error for each in verdict.tensors] == [0, 0, 0, 0]


MUTANTS: dict[str, tuple[Problem, Mutant, set[str]]] = {
    "scale 1% off": (PROBLEM, lambda p, _: naive(p, scale=1.01), ALL),
    "scale forgotten": (PROBLEM, lambda p, _: naive(p, scale=p.head_dim**0.5), ALL),
    "causal sees one key too many": (PROBLEM, lambda p, _: naive(p, shift=1), ALL),
    "causal sees one key too few": (PROBLEM, lambda p, _: naive(p, shift=-1), ALL),
    "window one too wide": (WINDOW, lambda p, _: naive(p, mask="window:9"), ALL),
    "window one too narrow": (WINDOW, lambda p, _: naive(p, mask="window:7"), ALL),
    "causal in place of a window": (WINDOW, lambda p, _: naive(p, mask="causal"), ALL),
    "dK and dV swapped": (
        PROBLEM,
        lambda _, good: good | {"backward.dk": good["backward.dv"], "backward.dv": good["backward.dk"]},
        {"backward.dk", "backward.dv"},
    ),
    "bfloat16 passed off as float32": (
        PROBLEM,
        lambda _, good: {name: keep_bits(array, 7) for name, array in good.items()},
        ALL,
    ),
    "computed in bfloat16": (PROBLEM, lambda p, _: naive(replace(p, dtype="bfloat16")), ALL),
    "TF32 passed off as ieee": (PROBLEM, lambda p, _: naive(p, operand=lambda x: keep_bits(x, 10)), ALL),
    "one wrong row of the output": (PROBLEM, lambda _, good: touched(good, "forward.out", one_row), {"forward.out"}),
    "one wrong row of dK": (PROBLEM, lambda _, good: touched(good, "backward.dk", one_row), {"backward.dk"}),
    "NaN": (PROBLEM, lambda _, good: touched(good, "forward.out", one_nan), {"forward.out"}),
    "zeros": (PROBLEM, lambda _, good: {name: array * 0 for name, array in good.items()}, ALL),
    "sign of dQ": (PROBLEM, lambda _, good: good | {"backward.dq": -good["backward.dq"]}, {"backward.dq"}),
    "dQ without the scale": (PROBLEM, lambda _, good: good | {"backward.dq": good["backward.dq"] * 4}, {"backward.dq"}),
    "dK of one head of the group": (PROBLEM, lambda p, _: naive(p, summed=slice(0, 1)), {"backward.dk"}),
    "heads in another order": (
        PROBLEM,
        lambda _, good: good | {"forward.out": good["forward.out"][:, :, [0, 2, 1, 3]]},
        {"forward.out"},
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_disagrees_and_only_where_it_is_wrong(tmp_path: Path, name: str) -> None:
    problem, mutate, wrong = MUTANTS[name]
    good = naive(problem)
    verdicts = verified(tmp_path, problem, {"good": good, "mutant": mutate(problem, good)})
    assert not verdicts["mutant"].agrees
    assert wrong_tensors(verdicts["mutant"]) == wrong
    assert verdicts["good"].agrees


LOW_PRECISION_MUTANTS: dict[str, dict[str, Any]] = {
    "scale 2% off": {"scale": 1.02},
    "causal sees one key too many": {"shift": 1},
    "causal sees one key too few": {"shift": -1},
    "dK of one head of the group": {"summed": slice(0, 1)},
}


@pytest.mark.parametrize("name", LOW_PRECISION_MUTANTS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_still_catches_wrong_maths(tmp_path: Path, dtype: str, name: str) -> None:
    problem = replace(PROBLEM, dtype=dtype)
    arrays = {"good": naive(problem), "mutant": naive(problem, **LOW_PRECISION_MUTANTS[name])}
    verdicts = verified(tmp_path, problem, arrays)
    assert (verdicts["good"].agrees, verdicts["mutant"].agrees) == (True, False)


def test_tf32_agrees_where_the_gpu_was_allowed_it(tmp_path: Path) -> None:
    problem = replace(PROBLEM, matmul_precision="tf32")
    arrays = {"tf32": naive(problem, operand=lambda x: keep_bits(x, 10)), "scale": naive(problem, scale=1.01)}
    verdicts = verified(tmp_path, problem, arrays, device="gpu")
    assert (verdicts["tf32"].agrees, verdicts["scale"].agrees) == (True, False)


@pytest.mark.parametrize("precision", ["tf32", "ieee"])
@pytest.mark.parametrize("name", ["forward.out", "backward.dk"])
def test_tf32_that_is_cut_off_agrees_where_tf32_is_allowed_and_is_told(
    tmp_path: Path, precision: Precision, name: str
) -> None:
    problem = replace(LONGER, mask="window:40", head_dim=64, matmul_precision=precision)
    cut = naive(problem, operand=lambda x: cut_bits(x, 10))
    rounded = naive(problem, operand=lambda x: keep_bits(x, 10))
    wrong = {
        "coarser": naive(problem, operand=lambda x: keep_bits(x, 8)),
        "rounded to bfloat16 at the end": {key: keep_bits(x, 7) for key, x in rounded.items()},
        "too large": touched(cut, name, lambda x: x.__imul__(1.003)),
        "too large, and rounded": {key: x * np.float32(1.003) for key, x in rounded.items()},
    }
    arrays = {"cut": cut, "rounded": rounded, **wrong}
    verdicts = verified(tmp_path, problem, arrays, device="gpu")
    allowed = precision == "tf32"
    assert {each: verdict.agrees for each, verdict in verdicts.items()} == {
        "cut": allowed,
        "rounded": allowed,
        **dict.fromkeys(wrong, False),
    }
    assert [each for each, verdict in verdicts.items() if verdict.tf32_cut_off] == (["cut"] if allowed else [])
    told = {each: [notice.code for notice in verification.rounding(verdict)] for each, verdict in verdicts.items()}
    assert told == {each: ["tf32-cut-off"] if allowed and each == "cut" else [] for each in arrays}


RESHAPED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a query too few": lambda x: x[:, :-1],
    "a batch entry too few": lambda x: x[:-1],
    "a batch entry too many": lambda x: np.concatenate([x, x[:1]]),
    "a head too many": lambda x: np.concatenate([x, x[:, :, :1]], axis=2),
    "heads before queries": lambda x: x.swapaxes(1, 2),
    "one column": lambda x: x[..., :1],
}


@pytest.mark.parametrize("name", RESHAPED)
def test_a_result_of_another_shape_disagrees(tmp_path: Path, name: str) -> None:
    good = naive(PROBLEM)
    reshaped = good | {"forward.out": RESHAPED[name](good["forward.out"])}
    verdicts = verified(tmp_path, PROBLEM, {"good": good, "reshaped": reshaped})
    assert (verdicts["good"].agrees, verdicts["reshaped"].agrees) == (True, False)


def test_a_contender_that_left_no_numbers_is_not_said_to_agree(tmp_path: Path) -> None:
    assert not verified(tmp_path, PROBLEM, {"nothing": {}})["nothing"].agrees


def test_the_largest_gap_to_another_contender_is_named(tmp_path: Path) -> None:
    good = naive(PROBLEM)
    nudged = good | {"forward.out": good["forward.out"] * np.float32(1 + 2**-22)}
    verdicts = verified(tmp_path, PROBLEM, {"one": good, "same": good, "far": nudged})
    assert [verdicts[name].other for name in ("one", "same")] == ["far", "far"]
    # Relative to the terms of a row, not to their sum: the same where one key is seen, up to a small factor elsewhere.
    assert 2**-22 * 0.8 <= verdicts["one"].other_error <= 2**-22 * 2
    assert verdicts["far"].other_allowed == pytest.approx(4 * errors_of(verdicts["far"], "forward.out").allowed_max)


@pytest.mark.parametrize(("error", "agrees"), [(1e-7, True), (1e-3, False)])
def test_a_row_that_is_zero_may_be_off_by_rounding_only(tmp_path: Path, error: float, agrees: bool) -> None:
    """dQ of a causal query 0 is exactly zero: dS cancels, and what is left of it is rounding of the terms."""
    good = naive(PROBLEM)
    dq = good["backward.dq"].copy()
    assert np.abs(dq[:, 0]).max() < 1e-6
    dq[:, 0] += np.float32(error)
    assert verified(tmp_path, PROBLEM, {"a": good | {"backward.dq": dq}})["a"].agrees == agrees


@pytest.mark.parametrize("kind", ["maximum", "root mean square"])
def test_each_of_the_two_limits_catches_alone(tmp_path: Path, kind: str) -> None:
    good = naive(PROBLEM)
    limits = errors_of(verified(tmp_path / "good", PROBLEM, {"a": good})["a"], "forward.out")
    assert 1.5 * limits.allowed_rms < 0.8 * limits.allowed_max
    rows, error = ((1, 5, 1), 1.3 * limits.allowed_max) if kind == "maximum" else (..., 1.3 * limits.allowed_rms)
    wrong = good["forward.out"].astype(np.float64)
    wrong[rows] *= 1 + error
    arrays = {"a": good | {"forward.out": wrong}}
    found = errors_of(verified(tmp_path / "wrong", PROBLEM, arrays)["a"], "forward.out")
    assert (found.max_error > found.allowed_max) is (kind == "maximum")
    assert (found.rms_error > found.allowed_rms) is (kind != "maximum")
    assert not found.agrees
