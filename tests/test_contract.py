"""Every mask against tables written by hand and against brute force; every refusal names what is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.schema.contract import (
    MASKS,
    Mask,
    Scores,
    Variant,
    check,
    check_visible,
    parse_mask,
    scores,
    unsupported,
    visible,
    visible_scores,
)

PROPERTY = settings(max_examples=150, deadline=None)
masks = st.one_of(
    st.sampled_from([Mask("full"), Mask("causal")]),
    st.builds(Mask, st.sampled_from(["window", "strided"]), st.integers(1, 9)),
)

# Rows are queries, columns keys; "1" is seen.
TABLES = {
    ("full", 2, 3): ["111", "111"],
    ("causal", 4, 4): ["1000", "1100", "1110", "1111"],
    ("causal", 2, 4): ["1000", "1100"],
    ("causal", 4, 2): ["10", "11", "11", "11"],
    ("window:1", 3, 3): ["100", "010", "001"],
    ("window:2", 4, 4): ["1000", "1100", "0110", "0011"],
    ("window:3", 4, 2): ["10", "11", "11", "01"],
    ("window:9", 3, 5): ["10000", "11000", "11100"],
    ("strided:1", 3, 3): ["100", "110", "111"],
    ("strided:3", 7, 7): ["1000000", "1100000", "1110000", "1111000", "0111100", "0011110", "1001111"],
    ("strided:2", 5, 3): ["100", "110", "111", "011", "101"],
}


def by_definition(mask: Mask, i: int, j: int) -> bool:
    """The mask's words in shared/DESIGN.md, one pair at a time."""
    if mask.kind == "full":
        return True
    if j > i:
        return False
    among_last = j in range(i - mask.size + 1, i + 1)
    if mask.kind == "window":
        return among_last
    if mask.kind == "strided":
        return among_last or j in range(i, -1, -mask.size)
    return True


@pytest.mark.parametrize(("text", "q_len", "kv_len"), TABLES)
def test_mask_is_the_table_written_by_hand(text: str, q_len: int, kv_len: int) -> None:
    seen = visible(parse_mask(text), np.arange(q_len)[:, None], np.arange(kv_len)[None, :])
    assert ["".join(str(int(each)) for each in row) for row in seen] == TABLES[text, q_len, kv_len]


@PROPERTY
@given(masks, st.integers(1, 20), st.integers(1, 20))
def test_visible_is_its_definition(mask: Mask, q_len: int, kv_len: int) -> None:
    seen = visible(mask, np.arange(q_len)[:, None], np.arange(kv_len)[None, :])
    assert seen.shape == (q_len, kv_len)
    assert seen.tolist() == [[by_definition(mask, i, j) for j in range(kv_len)] for i in range(q_len)]


@PROPERTY
@given(masks, st.integers(0, 24), st.integers(0, 24))
def test_visible_scores_counts_what_is_visible(mask: Mask, q_len: int, kv_len: int) -> None:
    seen = visible(mask, np.arange(q_len)[:, None], np.arange(kv_len)[None, :])
    assert visible_scores(mask, q_len, kv_len) == np.sum(seen)


@PROPERTY
@given(masks, st.integers(0, 24), st.integers(0, 24))
def test_check_visible_refuses_exactly_what_leaves_a_query_alone(mask: Mask, q_len: int, kv_len: int) -> None:
    blind = [i for i in range(q_len) if not any(by_definition(mask, i, j) for j in range(kv_len))]
    if not blind:
        check_visible(mask, q_len, kv_len)
        return
    with pytest.raises(ValueError, match=rf"{q_len} queries on {kv_len} keys, where query {blind[0]} sees none"):
        check_visible(mask, q_len, kv_len)


@pytest.mark.parametrize("text", ["full", "causal", "window:1", "window:128", "strided:7"])
def test_parse_mask_reads_every_kind(text: str) -> None:
    mask = parse_mask(text)
    assert (f"{mask.kind}:{mask.size}" if mask.size else mask.kind) == text


@pytest.mark.parametrize(
    "text",
    ["", "Full", "full:", "causal:3", "window", "window:", "window:0", "window:-1", "window:x", "strided:1.5", "w:3:4"],
)
def test_parse_mask_names_what_is_right_and_what_it_got(text: str) -> None:
    with pytest.raises(ValueError, match="expected one of") as refusal:
        parse_mask(text)
    assert all(form in str(refusal.value) for form in (*MASKS, "from 1", repr(text)))


Q, K, V = (2, 5, 4, 8), (2, 7, 2, 8), (2, 7, 2, 6)


@pytest.mark.parametrize(
    ("q", "k", "v", "words"),
    [
        (Q[1:], K, V, ["q", "[B, T, N, H]", "(5, 4, 8)"]),
        (Q, K[1:], V, ["k", "[B, S, K, H]", "(7, 2, 8)"]),
        (Q, K, (*V, 1), ["v", "[B, S, K, V]", "(2, 7, 2, 6, 1)"]),
        (Q, (3, 7, 2, 8), V, ["k", "B=2", "(3, 7, 2, 8)"]),
        (Q, (2, 7, 2, 9), V, ["k", "H=8", "(2, 7, 2, 9)"]),
        (Q, K, (3, 7, 2, 6), ["v", "B=2", "(3, 7, 2, 6)"]),
        (Q, K, (2, 6, 2, 6), ["v", "S=7", "(2, 6, 2, 6)"]),
        (Q, K, (2, 7, 4, 6), ["v", "K=2", "(2, 7, 4, 6)"]),
        (Q, (2, 7, 3, 8), (2, 7, 3, 6), ["multiple", "K=3", "N=4"]),
        (Q, (2, 7, 0, 8), (2, 7, 0, 6), ["multiple", "K=0", "N=4"]),
    ],
)
def test_check_names_expected_and_actual(
    q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], words: list[str]
) -> None:
    with pytest.raises(ValueError, match="expected") as refusal:
        check(q, k, v, "full")
    assert [word for word in words if word not in str(refusal.value)] == []


def test_check_returns_mask_and_scale_and_lets_v_have_its_own_size() -> None:
    assert check(Q, K, V, "window:3", 0.5) == Scores(Mask("window", 3), 0.5)


def test_check_refuses_a_mask_that_leaves_a_query_alone() -> None:
    with pytest.raises(ValueError, match="query 8 sees none"):
        check((1, 12, 1, 4), (1, 7, 1, 4), (1, 7, 1, 4), "window:2")


def test_a_head_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="head size of at least 1"):
        check((1, 2, 1, 0), (1, 2, 1, 0), (1, 2, 1, 4), "causal")


NARROW = Variant(summary="One", masks=("full", "window"), features=("bias",))


def test_check_refuses_a_mask_that_a_variant_does_not_declare() -> None:
    assert check(Q, K, V, "window:3", None, NARROW, "package.variants.one") == scores("window:3")
    with pytest.raises(NotImplementedError, match="one does not support mask causal; supported: full, window"):
        check(Q, K, V, "causal", None, NARROW, "package.variants.one")


def test_shapes_that_do_not_fit_are_named_before_a_mask_that_is_not_declared() -> None:
    with pytest.raises(ValueError, match="expected 4 axes"):
        check(Q[1:], K, V, "causal", None, NARROW, "one")


@pytest.mark.parametrize(
    ("mask", "features", "reason"),
    [
        ("full", (), ""),
        ("full", ("bias",), ""),
        ("strided:2", ("bias",), "one does not support mask strided; supported: full, window"),
        ("full", ("bias", "softcap"), "one does not support softcap; supported: bias"),
    ],
)
def test_unsupported_names_what_is_not_declared(mask: str, features: tuple[str, ...], reason: str) -> None:
    assert unsupported("one", NARROW, parse_mask(mask), features) == reason


def test_a_kind_without_a_definition_is_no_other_mask() -> None:
    future = Mask("future", 3)
    for each in (
        lambda: visible(future, 1, 2),
        lambda: visible_scores(future, 4, 4),
        lambda: check_visible(future, 4, 4),
    ):
        with pytest.raises(ValueError, match="no definition of future"):
            each()


def test_scores_pass_on_everything_but_the_mask_where_every_key_is_seen() -> None:
    asked = scores("window:3", 0.5)
    assert asked.unmasked() == Scores(Mask("full"), 0.5)
    assert (asked.factor(16), scores("full").factor(16)) == (0.5, 0.25)
    assert len({asked, scores("window:3", 0.5)}) == 1  # JAX and PyTorch keep compiled programs by it
