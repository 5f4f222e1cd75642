"""Is it still naive?  By what ran: a plain attention that Inductor's pattern matches, with it on and off."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor
from torch._inductor import config as inductor

from compare.analysis import kernels
from compare.analysis.notices import worded
from compare.profile import kinds
from compare.schema.records import Case, Contender, Notice, PassName, PassResult, Problem
from compare.worker.protocol import Begin, End, Finish, Prepare, Turn
from compare.worker.session import Session
from tests.samples import problem

PLAIN = Contender(backend="torch", variant="naive_plain", mode="compile")
WHERE: Problem = problem(64, 16, batch=2, heads=2, kv_heads=2)
PASSES: tuple[PassName, ...] = ("forward", "backward", "step")


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "full", scale: float | None = None) -> Tensor:
    """softmax(q k^T / sqrt(H)) v, [B, T, N, H], written as Inductor looks for it."""
    q, k, v = (each.permute(0, 2, 1, 3) for each in (q, k, v))
    weights = torch.matmul(q, k.transpose(-2, -1)).div(q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights.matmul(v).permute(0, 2, 1, 3)


def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> dict[PassName, PassResult]:
    """What the real session and profiler see of it when it is compiled under these settings of Inductor."""
    module = ModuleType("torch_attn.variants.naive_plain")
    module.attention = attention  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    session = Session("torch_attn", "cpu", torch.get_num_threads())
    torch._dynamo.reset()
    with inductor.patch(force_disable_caches=True, **settings):
        case = Case(problem=WHERE, contender=PLAIN)
        ready = session.prepare(Prepare(case=case, passes=PASSES, folder=str(tmp_path), warmup_budget_s=1.0))
    found: dict[PassName, PassResult] = {}
    session.turns.begin(Begin())
    for name in PASSES:
        session.turns.take(Turn(contender=PLAIN, pass_name=name, count=2, round=0, profiled=True, after_other=False))
    for seen in session.turns.end(End(count={PLAIN.name: dict.fromkeys(PASSES, 2)})).seen:
        assert not seen.refused
        found[seen.pass_name] = PassResult(
            device_s=seen.device_s[0],
            wall_s=(),
            per_round=2,
            peak_bytes=ready.memory[seen.pass_name].peak_bytes,
            peak_source=ready.memory[seen.pass_name].source,
            kernels=seen.kernels,
        )
    session.finish(Finish())
    return found


def kinds_of(result: PassResult) -> set[str]:
    """What ran, however long it took."""
    return {kind for line in kernels.lines(result) for kind in line.kinds}


def notices(found: dict[PassName, PassResult]) -> tuple[Notice, ...]:
    return kinds.check(PLAIN.variant, WHERE, found, {})


def test_a_row_whose_attention_inductor_replaced_says_so_of_every_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ran(tmp_path, monkeypatch, pattern_matcher=True)
    for name, notice in zip(PASSES, notices(found), strict=True):
        assert notice.code == kinds.NOT_NAIVE
        assert worded(notice).startswith(
            f"{name}: the compiler replaced naive attention by one fused op (aten::_scaled_"
        )
        assert "fused attention" in kinds_of(found[name])
        assert not {"matmul", "softmax"} & kinds_of(found[name])


@pytest.mark.long
def test_without_the_pattern_the_same_attention_is_naive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ran(tmp_path, monkeypatch, pattern_matcher=False)
    assert notices(found) == ()
    for name in PASSES:
        assert {"matmul", "softmax"} <= kinds_of(found[name])
        assert "fused attention" not in kinds_of(found[name])
