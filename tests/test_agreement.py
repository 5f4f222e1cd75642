"""The judge lets correct results through and catches every way of being wrong that we could think of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from compare import agreement, inputs, judging, oracle, slices
from compare.contract import parse_mask, visible
from compare.inputs import keep_bits, round_to
from compare.records import DTYPES, Agreement, Device, Dtype, Problem, TensorError
from tests import samples

Arrays = dict[str, np.ndarray]
Mutant = Callable[[Problem, Arrays], Arrays]
PROBLEM = samples.problem(batch=2, q_len=40, kv_len=40, heads=4, kv_heads=2, head_dim=16, mask="causal")
LONGER = replace(PROBLEM, q_len=80, kv_len=80)  # one slice has rows enough to go by
WINDOW = replace(PROBLEM, mask="window:8")
GRADIENTS = {"backward.dq", "backward.dk", "backward.dv"}
ALL = {"forward.out", *GRADIENTS}


def naive(problem: Problem, **other: Any) -> Arrays:
    """A contender in float32, whole batch and all heads at once; ``other`` makes it wrong.

    ``scale`` multiplies the right scale, ``shift`` moves the mask's diagonal, ``mask`` replaces it, ``operand`` rounds
    what goes into a product, ``store`` what is kept, ``summed`` is the slice of a group's heads that dK takes in.
    """
    group = problem.heads // problem.kv_heads
    operand, summed = other.get("operand", lambda x: x), other.get("summed", slice(None))
    q, k, v, do = inputs.draw(problem)
    k, v = np.repeat(k, group, axis=2), np.repeat(v, group, axis=2)
    scale = np.float32(other.get("scale", 1.0) * problem.head_dim**-0.5)
    i, j = np.arange(problem.q_len)[:, None], np.arange(problem.kv_len)[None, :]
    seen = visible(parse_mask(other.get("mask", problem.mask)), i + other.get("shift", 0), j)
    seen[:, 0] |= ~seen.any(1)  # a shifted mask must not leave a query alone

    def rounded(x: np.ndarray) -> np.ndarray:
        return round_to(x, problem.dtype)

    store = other.get("store", rounded)

    def product(formula: str, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return np.einsum(formula, operand(one), operand(two), optimize=True)

    q = store(q * scale)
    scores = np.where(seen, store(product("btnh,bsnh->bnts", q, k)), np.float32(-np.inf))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    p = store(weights / weights.sum(-1, keepdims=True))
    dp = store(product("btnh,bsnh->bnts", do, v))
    ds = store(p * (dp - (p * dp).sum(-1, keepdims=True)))

    def over_group(x: np.ndarray, heads: slice) -> np.ndarray:
        return store(x.reshape(*x.shape[:2], problem.kv_heads, group, -1)[:, :, :, heads].sum(3))

    return {
        "forward.out": store(product("bnts,bsnh->btnh", p, v)),
        "backward.dq": store(store(product("bnts,bsnh->btnh", ds, k)) * scale),
        "backward.dk": over_group(product("bnts,btnh->bsnh", ds, q), summed),
        "backward.dv": over_group(product("bnts,btnh->bsnh", p, do), slice(None)),
    }


def save(arrays: Arrays, folder: Path) -> str:
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def judged(
    tmp_path: Path, problem: Problem, contenders: dict[str, Arrays], budget_s: float = 60.0, device: Device = "cpu"
) -> dict[str, Agreement]:
    folders = {name: save(arrays, tmp_path / name) for name, arrays in contenders.items()}
    request = agreement.Judge(problem=problem, device=device, folders=folders, budget_s=budget_s)
    return agreement.judge(request).agreements


def wrong_tensors(verdict: Agreement) -> set[str]:
    return {each.tensor for each in verdict.tensors if not each.agrees}


def errors_of(verdict: Agreement, tensor: str) -> TensorError:
    return next(each for each in verdict.tensors if each.tensor == tensor)


def touched(good: Arrays, name: str, change: Callable[[np.ndarray], Any]) -> Arrays:
    """The arrays with one of them copied and changed in place."""
    array = good[name].copy()
    change(array)
    return good | {name: array}


def one_row(array: np.ndarray) -> None:
    array[1, 5, 1] *= 1.001


def one_nan(array: np.ndarray) -> None:
    array[0, 7, 0, 3] = np.nan


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", ["full", "causal", "window:8", "strided:4"])
def test_a_correct_naive_agrees(tmp_path: Path, dtype: str, mask: str) -> None:
    problem = replace(PROBLEM, dtype=dtype, mask=mask)
    verdict = judged(tmp_path, problem, {"naive": naive(problem)})["naive"]
    assert verdict.agrees
    assert {each.tensor for each in verdict.tensors} == ALL
    assert all(0 < each.max_error <= each.allowed_max < 0.1 for each in verdict.tensors)
    assert (verdict.checked_slices, verdict.slices) == (4, 4)


@pytest.mark.parametrize("shape", [{"kv_len": 24}, {"q_len": 24}, {"kv_heads": 1}, {"kv_heads": 4}], ids=str)
def test_a_correct_naive_agrees_in_other_shapes(tmp_path: Path, shape: dict[str, int]) -> None:
    problem = replace(PROBLEM, **shape)
    assert judged(tmp_path, problem, {"naive": naive(problem)})["naive"].agrees


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
    verdict = judged(tmp_path, PROBLEM, {"exact": exact})["exact"]
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
    verdicts = judged(tmp_path, problem, {"good": good, "mutant": mutate(problem, good)})
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
    verdicts = judged(tmp_path, problem, arrays)
    assert (verdicts["good"].agrees, verdicts["mutant"].agrees) == (True, False)


def test_tf32_agrees_where_the_gpu_was_allowed_it(tmp_path: Path) -> None:
    problem = replace(PROBLEM, matmul_precision="tf32")
    arrays = {"tf32": naive(problem, operand=lambda x: keep_bits(x, 10)), "scale": naive(problem, scale=1.01)}
    verdicts = judged(tmp_path, problem, arrays, device="gpu")
    assert (verdicts["tf32"].agrees, verdicts["scale"].agrees) == (True, False)


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
    verdicts = judged(tmp_path, PROBLEM, {"good": good, "reshaped": reshaped})
    assert (verdicts["good"].agrees, verdicts["reshaped"].agrees) == (True, False)


def test_a_contender_that_left_no_numbers_is_not_said_to_agree(tmp_path: Path) -> None:
    assert not judged(tmp_path, PROBLEM, {"nothing": {}})["nothing"].agrees


def test_the_largest_gap_to_another_contender_is_named(tmp_path: Path) -> None:
    good = naive(PROBLEM)
    nudged = good | {"forward.out": good["forward.out"] * np.float32(1 + 2**-22)}
    verdicts = judged(tmp_path, PROBLEM, {"one": good, "same": good, "far": nudged})
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
    assert judged(tmp_path, PROBLEM, {"a": good | {"backward.dq": dq}})["a"].agrees == agrees


@pytest.mark.parametrize("kind", ["maximum", "root mean square"])
def test_each_of_the_two_limits_catches_alone(tmp_path: Path, kind: str) -> None:
    good = naive(PROBLEM)
    limits = errors_of(judged(tmp_path / "good", PROBLEM, {"a": good})["a"], "forward.out")
    assert 1.5 * limits.allowed_rms < 0.8 * limits.allowed_max
    rows, error = ((1, 5, 1), 1.3 * limits.allowed_max) if kind == "maximum" else (..., 1.3 * limits.allowed_rms)
    wrong = good["forward.out"].astype(np.float64)
    wrong[rows] *= 1 + error
    arrays = {"a": good | {"forward.out": wrong}}
    found = errors_of(judged(tmp_path / "wrong", PROBLEM, arrays)["a"], "forward.out")
    assert (found.max_error > found.allowed_max) is (kind == "maximum")
    assert (found.rms_error > found.allowed_rms) is (kind != "maximum")
    assert not found.agrees


def test_alone_there_is_no_gap(tmp_path: Path) -> None:
    verdict = judged(tmp_path, PROBLEM, {"alone": naive(PROBLEM)})["alone"]
    assert (verdict.other, verdict.other_error, verdict.other_allowed) == (None, None, None)


def wrong_in(good: Arrays, parts: list[slices.Slice]) -> Arrays:
    array = good["forward.out"].copy()
    for part in parts:
        array[part.batch, :, part.kv_head * part.group] = 0
    return good | {"forward.out": array}


def test_without_time_one_slice_is_checked_and_the_others_against_each_other(tmp_path: Path) -> None:
    first, *others = slices.drawn_slices(LONGER)
    good = naive(LONGER)
    arrays = {"elsewhere": wrong_in(good, others), "there": wrong_in(good, [first]), "good": good, "too": good}
    verdicts = judged(tmp_path, LONGER, arrays, budget_s=1e-9)
    assert {(each.checked_slices, each.slices) for each in verdicts.values()} == {(1, 4)}
    assert {name: each.agrees for name, each in verdicts.items()} == {
        "elsewhere": False,
        "there": False,
        "good": True,
        "too": True,
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("q_len", "kv_len", "mask", "checked"), [(200, 200, "causal", 1), (1, 256, "full", 64), (2, 2, "causal", 32)]
)
def test_two_roundings_of_the_truth_agree_in_slices_that_were_not_checked(
    tmp_path: Path, dtype: Dtype, seed: int, q_len: int, kv_len: int, mask: str, checked: int
) -> None:
    """Where few terms make up a row its size differs between slices: held to the checked one, most of these fail."""
    shape = samples.problem(batch=128, q_len=q_len, kv_len=kv_len, head_dim=16, mask=mask)
    problem = replace(shape, dtype=dtype, seed=seed)
    late = {name: round_to(array, dtype) for name, array in naive(problem, store=lambda x: x).items()}
    verdicts = judged(tmp_path, problem, {"often": naive(problem), "once": late}, budget_s=1e-9)
    assert all(each.agrees and each.checked_slices == checked for each in verdicts.values())


def test_alone_an_error_outside_the_checked_slices_is_not_seen_unless_it_is_nan(tmp_path: Path) -> None:
    """The limit of a spot check, and why the report says how many slices were checked."""
    _, *others = slices.drawn_slices(LONGER)
    elsewhere = wrong_in(naive(LONGER), others)
    assert judged(tmp_path / "alone", LONGER, {"alone": elsewhere}, budget_s=1e-9)["alone"].agrees
    out = naive(LONGER)["forward.out"].copy()
    out[others[0].batch, 0, others[0].kv_head * others[0].group, 0] = np.nan
    nan = naive(LONGER) | {"forward.out": out}
    assert not judged(tmp_path / "nan", LONGER, {"alone": nan}, budget_s=1e-9)["alone"].agrees


def test_slices_are_drawn_by_the_seed() -> None:
    orders = [slices.drawn_slices(replace(PROBLEM, batch=8, seed=seed)) for seed in range(20)]
    assert orders[3] == slices.drawn_slices(replace(PROBLEM, batch=8, seed=3))
    assert len({order[0] for order in orders}) > 5
    assert all({(part.batch, part.kv_head) for part in order} == set(np.ndindex(8, 2)) for order in orders)


@pytest.mark.parametrize("good", [True, False], ids=["numbers", "NaN"])
def test_the_verdict_survives_the_way_to_the_parent(tmp_path: Path, good: bool) -> None:
    arrays = naive(PROBLEM) if good else touched(naive(PROBLEM), "forward.out", one_nan)
    folder = Path(save(arrays, tmp_path / "numbers"))
    settings = samples.run().settings
    found = judging.agreements(PROBLEM, settings, {samples.JAX: folder}, tmp_path / "log", 5.0)
    assert found[samples.JAX].agrees is good
