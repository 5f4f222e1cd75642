"""What Kineto shows: which names are work."""

from __future__ import annotations

import pytest

from torch_attn import profiler


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("aten::bmm", True),
        ("gloo:send", True),
        ("c10d::recv_", True),
        ("_ExchangeBackward", False),
        ("autograd::engine::evaluate_function: LocalBackward", False),
        ("compare:step", False),
    ],
)
def test_on_a_cpu_operators_and_what_goes_between_processes_are_work(name: str, work: bool) -> None:
    assert profiler._is_work(name, gpu=False) is work


def test_on_a_gpu_everything_is_but_marks_and_waits() -> None:
    assert profiler._is_work("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", gpu=True)
    assert not profiler._is_work("Stream Wait Event", gpu=True)
