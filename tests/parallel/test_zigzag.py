"""The layout of a sequence over devices against the mask itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.maths import zigzag
from compare.schema.contract import Mask, visible

PROPERTY = settings(max_examples=100, deadline=None)


def shares(length: int, devices: int, causal: bool) -> list[np.ndarray]:
    return np.split(zigzag.positions(length, devices, causal), devices)


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_every_position_lies_on_one_device(devices: int, chunk: int, causal: bool) -> None:
    length = 2 * devices * chunk
    assert sorted(zigzag.positions(length, devices, causal)) == list(range(length))
    assert all(np.all(np.diff(share) > 0) for share in shares(length, devices, causal))


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 4))
def test_under_a_causal_mask_all_devices_compute_alike_much(devices: int, chunk: int) -> None:
    assert len({int(share.sum()) for share in shares(2 * devices * chunk, devices, True)}) == 1


@PROPERTY
@given(st.integers(1, 6), st.integers(1, 3), st.booleans(), st.data())
def test_what_a_device_sees_of_another_is_what_the_mask_shows(
    devices: int, chunk: int, causal: bool, data: st.DataObject
) -> None:
    length = 2 * devices * chunk
    own, other = (data.draw(st.integers(0, devices - 1)) for _ in range(2))
    held = shares(length, devices, causal)
    shown = visible(Mask("causal" if causal else "full"), held[own][:, None], held[other][None, :])
    expected = np.zeros_like(shown)
    match zigzag.sees(own, other, causal):
        case "all":
            expected[:] = True
        case "lower keys":
            expected[:, :chunk] = True
        case "upper queries":
            expected[chunk:] = True
        case "causal":
            expected = np.tri(2 * chunk, dtype=bool)
    assert np.array_equal(shown, expected)


@PROPERTY
@given(st.integers(1, 9))
def test_chunks_are_put_in_order_and_back(devices: int) -> None:
    lie = zigzag.positions(2 * devices, devices, True)
    in_order = lie[zigzag.chunks(devices)]
    assert list(in_order) == list(range(2 * devices))
    assert list(in_order[zigzag.chunks(devices, back=True)]) == list(lie)


@pytest.mark.parametrize(
    ("q_len", "kv_len", "mask", "devices", "reason"),
    [
        (8, 8, "causal", 2, ""),
        (6, 6, "causal", 2, "2 devices need T to be a multiple of 4, got 6"),
        (6, 9, "full", 3, ""),
        (6, 9, "full", 2, "2 devices need S to be a multiple of 2, got 9"),
        (8, 16, "causal", 2, "several devices share a causal mask only where T is S, got 8 and 16"),
        (5, 9, "causal", 1, ""),
        (8, 8, "window", 2, "several devices share a full or a causal mask, not window"),
    ],
)
def test_what_cannot_be_shared_is_refused(q_len: int, kv_len: int, mask: str, devices: int, reason: str) -> None:
    kind = Mask("window", 3) if mask == "window" else Mask(mask)  # type: ignore[arg-type]
    assert zigzag.refusal(q_len, kv_len, kind, devices) == reason


def test_heads_that_cannot_be_dealt_out_are_refused() -> None:
    assert zigzag.heads_refused(8, 4, 4) == ""
    assert zigzag.heads_refused(6, 6, 4) == "4 devices need the query heads to be a multiple of 4, got 6"
    assert zigzag.heads_refused(8, 2, 4) == "4 devices need the key heads to be a multiple of 4, got 2"
