"""PyTorch's own word on which of its kernels take a problem; what they are asked on a GPU, without one."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import pytest

from compare.schema.contract import scores

torch, sdpa = import_module("torch"), import_module("torch_attn.sdpa")
KERNEL = "CUDNN_ATTENTION"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What PyTorch is asked; it takes an even number of keys only."""
    asked: list[Any] = []

    def can_use(params: Any, debug: bool) -> bool:
        asked.append(params)
        if params.key.shape[2] % 2 == 0:
            return True
        warnings.warn("This kernel not used because:", stacklevel=1)
        warnings.warn("keys are odd (Triggered internally at sdp_utils.cpp:1.)", stacklevel=1)
        return False

    monkeypatch.setitem(sdpa.ASKED, KERNEL, can_use)
    sdpa._asked_once.cache_clear()
    yield asked
    sdpa._asked_once.cache_clear()


def tensors(keys: int, heads: int = 4, trained: bool = False) -> tuple[Any, Any, Any]:
    q = torch.zeros(1, 6, heads, 8, requires_grad=trained)
    return q, torch.zeros(1, keys, 2, 8), torch.zeros(1, keys, 2, 8)


def test_its_refusal_is_the_reason_without_its_address(heard: list[Any]) -> None:
    assert sdpa.asked(KERNEL, *tensors(8), scores("causal")) == ""
    assert sdpa.asked(KERNEL, *tensors(7), scores("causal")) == "keys are odd"


def test_it_hears_of_shapes_mask_grouped_heads_and_gradients(heard: list[Any]) -> None:
    sdpa.asked(KERNEL, *tensors(8, trained=True), scores("causal"))
    sdpa.asked(KERNEL, *tensors(8, heads=2), scores("window:3"))
    first, second = heard
    assert (tuple(first.query.shape), tuple(first.key.shape)) == ((1, 4, 6, 8), (1, 2, 8, 8))
    assert (first.is_causal, first.enable_gqa, first.attn_mask, first.query.requires_grad) == (True, True, None, True)
    assert (second.is_causal, second.enable_gqa, second.query.requires_grad) == (False, False, False)
    assert tuple(second.attn_mask.shape) == (6, 8)


def test_it_is_asked_once_and_inside_a_compiled_program_too(heard: list[Any]) -> None:
    def program(q: Any, k: Any, v: Any) -> Any:
        return q + (1 if sdpa.asked(KERNEL, q, k, v, scores("causal")) else 2)

    compiled = torch.compile(program, fullgraph=True, backend="eager", dynamic=False)
    for _ in range(2):
        assert float(compiled(*tensors(8)).max()) == 2
        assert float(compiled(*tensors(7)).max()) == 1
    assert len(heard) == 2
    torch._dynamo.reset()


def test_the_layout_is_part_of_the_question(heard: list[Any]) -> None:
    q, k, v = tensors(8)
    sdpa.asked(KERNEL, q, k, v, scores("full"))
    sdpa.asked(KERNEL, q.transpose(1, 2).contiguous().transpose(1, 2), k, v, scores("full"))
    assert [each.query.stride() for each in heard] == [(192, 8, 32, 1), (192, 48, 8, 1)]
