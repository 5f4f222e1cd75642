"""One suite for every discovered variant of every backend: the same function, by the program's own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from compare.backends import BACKENDS, SEQUENCE_PARALLEL, backend, missing_modules, variants
from compare.maths import inputs
from compare.records import Agreement, Problem
from scripts import conformance

Array = np.ndarray[Any, Any]
# What several devices share is `fused` on one: tests/parallel has those.
VARIANTS = [(name, each) for name in BACKENDS for each in variants(name) if each not in SEQUENCE_PARALLEL]
TENSORS = ("out", "dq", "dk", "dv")
MASKS = ("full", "causal", "window:3", "strided:4")
HEADS = ((1, 1), (4, 2), (4, 1))
LENGTHS = ((6, 9), (7, 5), (13, 13))


@pytest.fixture(params=VARIANTS, ids=[":".join(pair) for pair in VARIANTS])
def contender(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, variant = request.param
    if missing := missing_modules(name):
        pytest.skip(f"{name} is not installed: {', '.join(missing)}")
    return name, variant


@cache
def adapter_of(name: str) -> Any:
    """The backend's adapter, opened once, in this process: the parent program never does this."""
    return import_module(f"{backend(name).package}.adapter").Adapter("cpu", 2)


def attention_of(contender: tuple[str, str]) -> Callable[..., Any]:
    name, variant = contender
    found: Callable[..., Any] = import_module(f"{backend(name).package}.variants.{variant}").attention
    return found


@contextmanager
def unsupported_is_skipped() -> Iterator[None]:
    """A combination that a variant refuses with a reason."""
    try:
        yield
    except NotImplementedError as reason:
        pytest.skip(str(reason))


def problem(
    mask: str = "causal",
    heads: tuple[int, int] = (4, 2),
    lengths: tuple[int, int] = (6, 9),
    batch: int = 2,
    head_dim: int = 5,
    dtype: Any = "float32",
    **special: Any,
) -> Problem:
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


def computed(
    contender: tuple[str, str], problem: Problem, arrays: inputs.Inputs, scale: float | None = None, mode: str = ""
) -> dict[str, Array]:
    """``pass.tensor`` -> array of all three passes, through the adapter as the worker does it."""
    adapter, attention, entry = adapter_of(contender[0]), attention_of(contender), backend(contender[0])
    with unsupported_is_skipped():
        return conformance.computed(adapter, entry.package, attention, problem, arrays, mode or entry.modes[0], scale)
    raise AssertionError("unreachable: skipped")


def judged(problem: Problem, arrays: inputs.Inputs, found: dict[str, Array], scale: float | None = None) -> Agreement:
    """The program's verdict.  The judge takes its scale from the head size, so an explicit one is put there."""
    shapes = dict(zip(TENSORS, (arrays[3].shape, *(each.shape for each in arrays[:3])), strict=True))
    assert {key: array.shape for key, array in found.items()} == {key: shapes[key.split(".")[1]] for key in found}
    if scale is not None:
        problem = replace(problem, head_dim=round(scale**-2))
    return conformance.judged(problem, "cpu", arrays, found)


def check(contender: tuple[str, str], problem: Problem) -> None:
    arrays = inputs.draw(problem)
    verdict = judged(problem, arrays, computed(contender, problem, arrays))
    assert verdict.agrees, [each for each in verdict.tensors if not each.agrees]


def test_every_variant_does_something_here_or_says_that_it_needs_a_gpu(contender: tuple[str, str]) -> None:
    adapter, refused = adapter_of(contender[0]), []
    for mask in MASKS:
        q, k, v, _ = (adapter.put(each, "float32") for each in inputs.draw(problem(mask, head_dim=16)))
        try:
            attention_of(contender)(q, k, v, mask=mask)
        except NotImplementedError as reason:
            refused.append(str(reason))
    assert len(refused) < len(MASKS) or all("needs an NVIDIA GPU" in reason for reason in refused)


@pytest.mark.parametrize("heads", HEADS, ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_masks_and_grouped_heads(contender: tuple[str, str], mask: str, heads: tuple[int, int]) -> None:
    check(contender, problem(mask, heads))


@pytest.mark.parametrize("lengths", LENGTHS[1:], ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_key_lengths_below_and_at_the_query_length(
    contender: tuple[str, str], mask: str, lengths: tuple[int, int]
) -> None:
    check(contender, problem(mask, lengths=lengths))


LONG = [("window:40", (150, 131)), ("window:130", (300, 300)), ("strided:40", (150, 131))]


@pytest.mark.parametrize(("mask", "lengths"), LONG)
def test_sparse_masks_over_several_blocks(contender: tuple[str, str], mask: str, lengths: tuple[int, int]) -> None:
    check(contender, problem(mask, lengths=lengths, heads=(2, 1)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("mask", ["full", "strided:4"])
def test_narrow_dtypes(contender: tuple[str, str], mask: str, dtype: str) -> None:
    check(contender, problem(mask, lengths=(33, 33), head_dim=16, dtype=dtype))


@pytest.mark.parametrize("special", [{"layers": 3}, {"layout": "bnth"}], ids=str)
@pytest.mark.parametrize("mask", ["causal", "window:3", "strided:4"])
def test_layers_and_the_other_layout(contender: tuple[str, str], mask: str, special: dict[str, Any]) -> None:
    check(contender, problem(mask, lengths=(13, 13), **special))


@pytest.mark.parametrize(
    "sizes",
    [
        {"batch": 1, "heads": (1, 1), "lengths": (1, 1), "head_dim": 1},
        {"lengths": (1, 9)},
        {"lengths": (7, 1), "mask": "full"},
        {"batch": 3, "heads": (3, 1), "lengths": (31, 17), "head_dim": 7},
    ],
    ids=str,
)
def test_sizes_of_one_and_odd_sizes(contender: tuple[str, str], sizes: dict[str, Any]) -> None:
    check(contender, problem(**sizes))


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"lengths": (0, 5)}], ids=str)
def test_empty_axes_give_empty_or_zero(contender: tuple[str, str], sizes: dict[str, Any]) -> None:
    empty = problem(**sizes)
    arrays = inputs.draw(empty)
    found = computed(contender, empty, arrays)
    judged(empty, arrays, found)  # the shapes
    assert all(not array.any() for array in found.values())


def test_no_keys_are_refused(contender: tuple[str, str]) -> None:
    adapter, none = adapter_of(contender[0]), problem(lengths=(4, 0), mask="full")
    q, k, v, _ = (adapter.put(each, "float32") for each in inputs.draw(none))
    with pytest.raises(ValueError, match="4 queries on 0 keys"):
        attention_of(contender)(q, k, v, mask="full")


@pytest.mark.parametrize("heads", HEADS[1:], ids=str)
def test_a_value_head_size_of_its_own(contender: tuple[str, str], heads: tuple[int, int]) -> None:
    wide = problem(heads=heads)
    q, k, v, do = inputs.draw(replace(wide, head_dim=8))
    arrays = q[..., :5].copy(), k[..., :5].copy(), v, do
    verdict = judged(wide, arrays, computed(contender, wide, arrays))
    assert verdict.agrees, verdict


@pytest.mark.parametrize("head_dim_of_scale", [1, 64])
def test_an_explicit_scale(contender: tuple[str, str], head_dim_of_scale: int) -> None:
    scale, plain = head_dim_of_scale**-0.5, problem()
    arrays = inputs.draw(plain)
    found = computed(contender, plain, arrays, scale)
    assert judged(plain, arrays, found, scale).agrees
    assert not judged(plain, arrays, found).agrees


def test_the_mask_defaults_to_causal_and_the_plain_call_equals_the_program(contender: tuple[str, str]) -> None:
    adapter, plain = adapter_of(contender[0]), problem("causal")
    arrays = inputs.draw(plain)
    q, k, v, _ = (adapter.put(each, "float32") for each in arrays)
    with unsupported_is_skipped():
        found = {"forward.out": adapter.numpy(adapter.block(attention_of(contender)(q, k, v)))}
    assert judged(plain, arrays, found).agrees


def test_large_scores_do_not_overflow(contender: tuple[str, str]) -> None:
    large = problem()
    q, *rest = inputs.draw(large)
    arrays = (q * np.float32(1000), *rest)
    assert all(np.isfinite(array).all() for array in computed(contender, large, arrays).values())


def test_the_result_is_in_the_dtype_of_the_inputs(contender: tuple[str, str]) -> None:
    adapter = adapter_of(contender[0])
    for dtype in ("float32", "bfloat16", "float16"):
        q, k, v, _ = (adapter.put(each, dtype) for each in inputs.draw(problem(dtype=dtype)))
        with unsupported_is_skipped():
            assert attention_of(contender)(q, k, v).dtype == q.dtype


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


@pytest.mark.parametrize(("shapes", "options", "message"), WRONG, ids=[message[:30] for *_, message in WRONG])
def test_what_does_not_fit_is_refused_by_name(
    contender: tuple[str, str], shapes: dict[str, tuple[int, ...]], options: dict[str, str], message: str
) -> None:
    adapter = adapter_of(contender[0])
    full = {"q": (2, 6, 4, 5), "k": (2, 9, 2, 5), "v": (2, 9, 2, 5)} | shapes
    q, k, v = (adapter.put(np.ones(shape, np.float32), "float32") for shape in full.values())
    with pytest.raises(ValueError, match=message):
        attention_of(contender)(q, k, v, **options)
