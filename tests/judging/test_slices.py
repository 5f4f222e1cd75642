"""What the oracle did not check is compared with the other contenders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from compare.maths import oracle
from compare.maths.inputs import round_to
from compare.measure import verification
from compare.schema.records import Dtype
from tests import samples
from tests.judging.contenders import (
    LONGER,
    PROBLEM,
    Arrays,
    naive,
    one_nan,
    save,
    touched,
    verified,
)


def test_alone_there_is_no_gap(tmp_path: Path) -> None:
    verdict = verified(tmp_path, PROBLEM, {"alone": naive(PROBLEM)})["alone"]
    assert (verdict.other, verdict.other_error, verdict.other_allowed) == (None, None, None)


def wrong_in(good: Arrays, parts: list[oracle.Slice]) -> Arrays:
    array = good["forward.out"].copy()
    for part in parts:
        array[part.batch, :, part.kv_head * part.group] = 0
    return good | {"forward.out": array}


def test_without_time_one_slice_is_checked_and_the_others_against_each_other(tmp_path: Path) -> None:
    first, *others = oracle.drawn_slices(LONGER)
    good = naive(LONGER)
    arrays = {"elsewhere": wrong_in(good, others), "there": wrong_in(good, [first]), "good": good, "too": good}
    verdicts = verified(tmp_path, LONGER, arrays, budget_s=1e-9)
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
    verdicts = verified(tmp_path, problem, {"often": naive(problem), "once": late}, budget_s=1e-9)
    assert all(each.agrees and each.checked_slices == checked for each in verdicts.values())


def test_last_numbers_that_went_wrong_outside_the_checked_slices_are_found(tmp_path: Path) -> None:
    """Last numbers stand only where they are not the first ones."""
    _, *others = oracle.drawn_slices(LONGER)
    good = {"forward.out.first": naive(LONGER)["forward.out"]}
    bad = good | {"forward.out.last": wrong_in(naive(LONGER), others)["forward.out"]}
    verdicts = verified(tmp_path / "beside", LONGER, {"bad": bad, "good": good, "too": good}, budget_s=1e-9)
    assert {name: each.agrees for name, each in verdicts.items()} == {"bad": False, "good": True, "too": True}
    assert not verified(tmp_path / "alone", LONGER, {"bad": bad}, budget_s=1e-9)["bad"].agrees
    assert verified(tmp_path / "good", LONGER, {"good": good}, budget_s=1e-9)["good"].agrees


def test_alone_an_error_outside_the_checked_slices_is_not_seen_unless_it_is_nan(tmp_path: Path) -> None:
    """The limit of a spot check, and why the report says how many slices were checked."""
    _, *others = oracle.drawn_slices(LONGER)
    elsewhere = wrong_in(naive(LONGER), others)
    assert verified(tmp_path / "alone", LONGER, {"alone": elsewhere}, budget_s=1e-9)["alone"].agrees
    out = naive(LONGER)["forward.out"].copy()
    out[others[0].batch, 0, others[0].kv_head * others[0].group, 0] = np.nan
    nan = naive(LONGER) | {"forward.out": out}
    assert not verified(tmp_path / "nan", LONGER, {"alone": nan}, budget_s=1e-9)["alone"].agrees


def test_slices_are_drawn_by_the_seed() -> None:
    orders = [oracle.drawn_slices(replace(PROBLEM, batch=8, seed=seed)) for seed in range(20)]
    assert orders[3] == oracle.drawn_slices(replace(PROBLEM, batch=8, seed=3))
    assert len({order[0] for order in orders}) > 5
    assert all({(part.batch, part.kv_head) for part in order} == set(np.ndindex(8, 2)) for order in orders)


@pytest.mark.parametrize("good", [True, False], ids=["numbers", "NaN"])
def test_the_verdict_survives_the_way_to_the_parent(tmp_path: Path, good: bool) -> None:
    arrays = naive(PROBLEM) if good else touched(naive(PROBLEM), "forward.out", one_nan)
    folder = Path(save(arrays, tmp_path / "numbers"))
    settings = samples.run().settings
    found = verification.agreements(PROBLEM, settings, {samples.JAX: folder}, tmp_path / "log", 5.0)
    assert found[samples.JAX].agrees is good
