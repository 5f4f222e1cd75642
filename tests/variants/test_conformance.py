"""Conformance of every variant of every backend: results must match the oracle within the program's tolerance.

Problems cover all pairs of property values; with ``-m long``, all triples.  ``FEWER`` lists the exceptions.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from compare.maths import inputs
from compare.schema.contract import check_visible, parse_mask
from compare.schema.records import DTYPES, Problem
from tests.variants.checking import (
    ALL,
    HERE,
    MASKS,
    NEED_A_GPU,
    Named,
    adapter_of,
    attention_of,
    computed,
    description_of,
    foreseen,
    judged,
    problem,
    wrong,
)

LONG = (170, 131)  # the last keys are no whole block, and queries beyond them look at where more would be
SEVERAL_BLOCKS = ("window:40", "window:130", "strided:36")
AXES: dict[str, tuple[Any, ...]] = {
    "mask": (*MASKS, *SEVERAL_BLOCKS),
    "lengths": ((6, 9), (7, 5), (13, 13), LONG),
    "heads": ((1, 1), (4, 2), (4, 1)),
    "dtype": DTYPES,
    "head_dim": (5, 16),
    "layout": ("btnh", "bnth"),
    "layers": (1, 3),
    "passes": (("step",), ("forward",), ("backward",)),  # each a program, which takes a compiler about half a second
}
Row = dict[str, Any]
FORWARD_ONLY = {("torch", "flex")}  # on a CPU, whatever is asked for
# Where every value occurs once, and under long every pair: what `fused` hands everything to has rows of its own
# (tests/variants/test_fused.py), and for `flex` a C++ compiler takes a quarter of a minute for each shape.
FEWER = {("torch", "flex"), ("torch", "fused"), ("jax", "fused")}
# The library's kernel takes values of the size of the keys alone.
NO_OTHER_V = {("torch", "fused"), ("torch", "fused_flash"), ("jax", "fused_xla")}
BY_HAND: dict[Named, list[Row]] = {
    ("torch", "flex"): [
        dict(zip(AXES, row, strict=True))
        for row in (
            ("full", (13, 13), (4, 2), "bfloat16", 16, "bnth", 3, ("forward",)),
            ("causal", (7, 5), (4, 1), "float16", 16, "btnh", 1, ("forward",)),
            ("window:130", LONG, (1, 1), "float32", 16, "btnh", 1, ("forward",)),
        )
    ]
}
STEP = ("step",)

every_variant = pytest.mark.parametrize("variant", HERE, ids=":".join)


def problem_of(row: Row) -> Problem:
    return problem(**{name: value for name, value in row.items() if name != "passes"})


def refused(variant: Named, row: Row) -> bool:
    """Whether the contract or the variant refuses a row, or its mask needs other lengths to show anything."""
    where = problem_of(row)
    try:
        check_visible(parse_mask(where.mask), where.q_len, where.kv_len)
    except ValueError:
        return True
    if where.mask not in ("full", "causal") and (row["lengths"] == LONG) != (where.mask in SEVERAL_BLOCKS):
        return True
    trained = "forward" not in row["passes"]
    return bool(foreseen(variant, where, trained)) or (trained and variant in FORWARD_ONLY)


def covering(possible: list[Row], together: int) -> list[Row]:
    """Few of the rows, in which values of so many axes meet in every way in which they do in any row.

    Greedily: the next row is the one with most meetings that are new (Cohen et al. 1997, doi:10.1109/32.605761).
    """
    meetings: dict[tuple[Any, ...], int] = {}
    held = np.array(
        [
            [meetings.setdefault(meeting, len(meetings)) for meeting in combinations(row.items(), together)]
            for row in possible
        ]
    )
    missing, chosen = np.ones(len(meetings), bool), []
    while missing.any():
        best = int(missing[held].sum(1).argmax())
        missing[held[best]] = False
        chosen.append(possible[best])
    return chosen


def combined(variant: Named, together: int) -> list[Row]:
    every = (dict(zip(AXES, values, strict=True)) for values in product(*AXES.values()))
    return covering([row for row in every if not refused(variant, row)], together)


def check(variant: Named, rows: list[Row]) -> None:
    """A refusal is a failure here, as these rows are those that the variant does not refuse."""
    assert len(rows) >= 3
    found: dict[str, list[str]] = {}
    for row in rows:
        found[str(row)] = wrong(variant, problem_of(row), row["passes"])
        if variant in BY_HAND:  # or PyTorch refuses the ninth shape
            adapter_of(variant[0]).release()
    assert not {row: tensors for row, tensors in found.items() if tensors}


@every_variant
def test_it_is_attention_where_every_two_properties_meet(variant: Named) -> None:
    check(variant, BY_HAND.get(variant) or combined(variant, 1 if variant in FEWER else 2))


@pytest.mark.long
@every_variant
def test_it_is_attention_where_every_three_properties_meet(variant: Named) -> None:
    check(variant, combined(variant, 2 if variant in FEWER else 3))


def suited(variant: Named, **other: Any) -> Problem:
    """A problem under a mask that the variant takes."""
    for mask in ("causal", "window:3", "strided:4"):
        where = problem(mask, **other)
        try:
            check_visible(parse_mask(mask), where.q_len, where.kv_len)
        except ValueError as nothing_to_see:
            reason = str(nothing_to_see)
            continue
        if not (reason := foreseen(variant, where, trained=variant not in FORWARD_ONLY)):
            return where
    pytest.skip(reason)


def test_every_two_properties_meet_in_few_problems() -> None:
    every = [dict(zip(AXES, values, strict=True)) for values in product(*AXES.values())]
    rows = covering(every, 2)
    for one, other in combinations(AXES, 2):
        assert {(row[one], row[other]) for row in rows} == set(product(AXES[one], AXES[other]))
    assert len(rows) < len(every) / 50


def test_who_needs_a_gpu_says_so_and_nobody_else() -> None:
    refusals = {each: [foreseen(each, problem(mask, head_dim=16), trained=False) for mask in MASKS] for each in ALL}
    assert {each for each, reasons in refusals.items() if all(reasons)} == NEED_A_GPU
    for each in NEED_A_GPU:
        said = dict(zip(MASKS, refusals[each], strict=True))
        declared = [said[mask] for mask in MASKS if parse_mask(mask).kind in description_of(each).masks]
        assert all("needs an NVIDIA GPU" in reason for reason in declared), said


@every_variant
@pytest.mark.parametrize(
    "sizes",
    [
        {"batch": 1, "heads": (1, 1), "lengths": (1, 1), "head_dim": 1},
        {"batch": 3, "heads": (3, 1), "lengths": (19, 17), "head_dim": 7},
        {"lengths": (1, 9)},
        {"lengths": (7, 1)},
    ],
    ids=["ones", "odd", "one query", "one key"],
)
def test_sizes_of_one_and_odd_sizes(variant: Named, sizes: Row) -> None:
    assert not wrong(variant, suited(variant, **sizes), STEP)


@every_variant
@pytest.mark.parametrize("sizes", [{"batch": 0}, {"lengths": (0, 5)}], ids=str)
def test_empty_axes_give_empty_or_zero(variant: Named, sizes: Row) -> None:
    empty = suited(variant, **sizes)
    arrays = inputs.draw(empty)
    found = computed(variant, empty, arrays, passes=STEP)
    judged(empty, arrays, found)  # the shapes
    assert all(not array.any() for array in found.values())


@every_variant
def test_no_keys_are_refused(variant: Named) -> None:
    adapter, none = adapter_of(variant[0]), problem(lengths=(4, 0), mask="full")
    q, k, v, _ = (adapter.put(each, "float32") for each in inputs.draw(none))
    with pytest.raises(ValueError, match="4 queries on 0 keys"):
        attention_of(variant)(q, k, v, mask="full")


@every_variant
def test_a_value_head_size_of_its_own(variant: Named) -> None:
    wide = suited(variant)
    q, k, v, do = inputs.draw(replace(wide, head_dim=8))
    arrays = q[..., :5].copy(), k[..., :5].copy(), v, do
    if variant in NO_OTHER_V:
        with pytest.raises(NotImplementedError, match=r"one head size|k and v alike"):
            computed(variant, wide, arrays, passes=STEP)
        return
    verdict = judged(wide, arrays, computed(variant, wide, arrays, passes=STEP))
    assert verdict.agrees, verdict


@every_variant
def test_an_explicit_scale(variant: Named) -> None:
    """And a wrong one would be seen."""
    scale, plain = 0.125, suited(variant)
    arrays = inputs.draw(plain)
    found = computed(variant, plain, arrays, scale, passes=STEP)
    assert judged(plain, arrays, found, scale).agrees
    assert not judged(plain, arrays, found).agrees


@every_variant
def test_the_mask_defaults_to_causal_and_large_scores_do_not_overflow(variant: Named) -> None:
    adapter, plain = adapter_of(variant[0]), problem("causal")
    if reason := foreseen(variant, plain, trained=False):
        pytest.skip(reason)
    q, k, v, do = inputs.draw(plain)
    for factor in (1, 1000):
        arrays = (q * np.float32(factor), k, v, do)
        out = attention_of(variant)(*(adapter.put(each, "float32") for each in arrays[:3]))
        found = {"forward.out": adapter.numpy(adapter.block(out))}
        assert np.isfinite(found["forward.out"]).all()
        assert factor > 1 or judged(plain, arrays, found).agrees


@every_variant
def test_gradients_of_large_scores_do_not_overflow(variant: Named) -> None:
    large = suited(variant)
    q, *rest = inputs.draw(large)
    arrays = (q * np.float32(1000), *rest)
    assert all(np.isfinite(array).all() for array in computed(variant, large, arrays, passes=STEP).values())


WRONG = [
    ({"q": (2, 6, 20)}, {}, r"q: expected 4 axes \[B, T, N, H\], got shape \(2, 6, 20\)"),
    ({"k": (2, 9, 2, 7)}, {}, r"k: expected \[B=2, S, K, H=5\].*got \(2, 9, 2, 7\)"),
    ({"k": (3, 9, 2, 5)}, {}, r"k: expected \[B=2, S, K, H=5\].*got \(3, 9, 2, 5\)"),
    ({"v": (2, 8, 2, 5)}, {}, r"v: expected \[B=2, S=9, K=2, V\].*got \(2, 8, 2, 5\)"),
    ({"q": (2, 6, 3, 5)}, {}, r"multiple of the K=2 key heads, got N=3"),
    ({}, {"mask": "diagonal"}, r"mask: expected one of .*got 'diagonal'"),
    ({}, {"mask": "window:0"}, r"mask: expected one of .*got 'window:0'"),
    ({"q": (2, 13, 4, 5)}, {"mask": "window:3"}, r"13 queries on 9 keys, where query 11 sees none"),
]


@pytest.mark.parametrize("variant", ALL, ids=":".join)
def test_what_does_not_fit_is_refused_by_name(variant: Named) -> None:
    adapter = adapter_of(variant[0])
    for shapes, options, message in WRONG:
        full = {"q": (2, 6, 4, 5), "k": (2, 9, 2, 5), "v": (2, 9, 2, 5)} | shapes
        q, k, v = (adapter.put(np.ones(shape, np.float32), "float32") for shape in full.values())
        with pytest.raises(ValueError, match=message):
            attention_of(variant)(q, k, v, **options)
