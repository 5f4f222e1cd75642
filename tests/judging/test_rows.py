"""Of slices with too many scores the oracle takes some rows: what it then finds, and what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from compare.analysis.notices import worded
from compare.maths import oracle
from compare.measure import verification
from compare.schema.contract import Mask, parse_mask, visible
from compare.verify.tolerance import spread
from tests import samples
from tests.judging.contenders import Arrays, naive, touched, verified, wrong_tensors

LONG = samples.problem(batch=2, q_len=400, kv_len=400, heads=4, kv_heads=2, head_dim=16, mask="causal")
MASKS = ["full", "causal", "window:50", "strided:16"]


@pytest.fixture(autouse=True)
def few_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "MOST_SCORES", 10_000)
    monkeypatch.setattr(oracle, "DRAWN_SCORES", 6 * 16 * 400 * 2)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["full", "causal", "window:1", "window:70", "strided:7"]),
    st.integers(150, 500),
    st.integers(150, 500),
)
def test_no_other_row_sees_a_key_whose_gradient_is_checked(mask: str, q_len: int, kv_len: int) -> None:
    found = oracle.checked_rows(replace(LONG, mask=mask, q_len=q_len, kv_len=kv_len))
    assert set(found.queries) <= set(range(q_len))
    assert set(found.keys) <= set(range(kv_len))
    assert np.all(np.diff(found.queries) > 0)
    others = np.setdiff1d(np.arange(q_len), found.queries)
    assert not np.any(visible(parse_mask(mask), others[:, None], found.keys[None, :]))


def test_the_first_the_last_and_rows_between_are_drawn_by_the_seed() -> None:
    drawn = [oracle.checked_rows(replace(LONG, seed=seed)) for seed in range(10)]
    assert all({0, 399} <= set(rows.queries) and len(rows.queries) < 150 for rows in drawn)
    assert all(list(rows.keys) == list(range(400 - len(rows.keys), 400)) and len(rows.keys) >= 32 for rows in drawn)
    assert len({tuple(rows.queries) for rows in drawn}) > 5


def test_a_short_slice_is_checked_whole() -> None:
    rows = oracle.checked_rows(replace(LONG, q_len=60, kv_len=60))
    assert list(rows.queries) == list(rows.keys) == list(range(60))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("mask", MASKS)
def test_rows_alone_are_those_of_the_whole(mask: str, layers: int) -> None:
    draw = np.random.default_rng(3).standard_normal
    q, k, v, do = draw((2, 400, 8)), draw((400, 8)), draw((400, 5)), draw((2, 400, 5 if layers == 1 else 8))
    v = v if layers == 1 else draw((400, 8))
    at, keys = oracle.checked_rows(replace(LONG, mask=mask))
    arguments: tuple[Mask, float, oracle.Arithmetic, int] = (parse_mask(mask), 0.3, oracle.EXACT, layers)
    for whole, some in zip(
        oracle.layers_with_gradients(q, k, v, do, *arguments),
        oracle.layers_with_gradients(q[:, at], k, v, do[:, at], *arguments, at),
        strict=True,
    ):
        np.testing.assert_allclose(some.out, whole.out[:, at], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(some.dq, whole.dq[:, at], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(some.dk[keys], whole.dk[keys], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(some.dv[keys], whole.dv[keys], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("mask", MASKS)
def test_a_right_contender_agrees_alone_and_beside_another(tmp_path: Path, mask: str) -> None:
    problem = replace(LONG, mask=mask, dtype="bfloat16", matmul_precision="default")
    other = naive(problem, store=lambda x: x)
    verdicts = verified(tmp_path, problem, {"one": naive(problem), "other": other}, budget_s=1e-9)
    assert all(each.agrees and each.checked_slices == 1 for each in verdicts.values())


def off(good: Arrays, name: str, position: int) -> Arrays:
    def change(array: np.ndarray) -> None:
        array[:, position] *= 1.01

    return touched(good, name, change)


@pytest.mark.parametrize("name", ["forward.out", "backward.dq", "backward.dk", "backward.dv"])
def test_a_wrong_row_that_is_checked_is_found(tmp_path: Path, name: str) -> None:
    rows = oracle.checked_rows(LONG)
    for at in (rows.keys[0], rows.keys[-1]) if name[-1] in "kv" else (5, rows.queries[20], 399):
        verdict = verified(tmp_path / str(at), LONG, {"one": off(naive(LONG), name, at)})["one"]
        assert wrong_tensors(verdict) == {name}


def unchecked_row() -> int:
    rows = oracle.checked_rows(LONG)
    return int(next(row for row in range(64, 400) if row not in rows.queries))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["backward.dk", "backward.dv"])
def test_wrong_gradients_of_keys_that_are_not_checked_show_against_the_others(
    tmp_path: Path, name: str, mask: str
) -> None:
    problem = replace(LONG, mask=mask)
    good = naive(problem)
    bad = touched(good, name, lambda array: array[:, 70].__imul__(1.01))
    verdicts = verified(tmp_path, problem, {"bad": bad, "good": good, "too": good})
    assert {name: each.agrees for name, each in verdicts.items()} == {"bad": False, "good": True, "too": True}


def test_a_tensor_of_which_no_row_is_checked_has_no_error_to_show(tmp_path: Path) -> None:
    found = verified(tmp_path, replace(LONG, mask="full"), {"one": naive(replace(LONG, mask="full"))})["one"]
    assert found.agrees
    assert {each.tensor for each in found.tensors} == {"forward.out", "backward.dq"}


@pytest.mark.parametrize("name", ["forward.out", "backward.dq"])
def test_a_wrong_row_that_is_not_checked_shows_against_the_others(tmp_path: Path, name: str) -> None:
    good, bad = naive(LONG), off(naive(LONG), name, unchecked_row())
    assert verified(tmp_path / "alone", LONG, {"bad": bad})["bad"].agrees
    verdicts = verified(tmp_path, LONG, {"bad": bad, "good": good, "too": good})
    assert {name: each.agrees for name, each in verdicts.items()} == {"bad": False, "good": True, "too": True}


def test_what_is_not_checked_is_told() -> None:
    (notice,) = verification.unchecked(LONG, ("forward", "step"), 2)
    rows = oracle.checked_rows(LONG)
    assert f"{len(rows.queries)} of 400 query rows" in worded(notice)
    assert f"{len(rows.keys)} of 400 keys" in worded(notice)
    assert "keys" not in worded(verification.unchecked(LONG, ("forward",), 2)[0])
    assert "compared with the other contenders only" in worded(notice)
    assert "were not checked" in worded(verification.unchecked(LONG, ("forward",), 1)[0])
    assert not verification.unchecked(replace(LONG, q_len=60, kv_len=60), ("forward",), 1)


def test_sizes_between_two_known_ones_are_the_larger() -> None:
    found = spread(np.array([3.0, 1.0, 2.0]), np.array([0, 2, 5]), 8)
    assert list(found) == [3, 3, 1, 2, 2, 2, 2, 2]
