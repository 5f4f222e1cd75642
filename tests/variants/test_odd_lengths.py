"""What `fused_cudnn` adds to an odd length to train is seen by nobody: with XLA's attention in cuDNN's place."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

FULL = [("full", *lengths) for lengths in ((7, 8), (8, 7), (1, 9))]  # elsewhere cuDNN aligns its masks otherwise


@pytest.mark.parametrize(("mask", "q_len", "kv_len"), [*FULL, ("causal", 7, 7), ("window:3", 7, 7)])
def test_an_added_position_changes_nothing(mask: str, q_len: int, kv_len: int, monkeypatch: pytest.MonkeyPatch) -> None:
    jax = import_module("jax")
    fused, naive = (import_module(f"jax_attn.variants.{name}") for name in ("fused_cudnn", "naive"))
    inside, seen = jax.nn.dot_product_attention, []

    def by_xla(q: Any, k: Any, v: Any, implementation: str, **others: Any) -> Any:
        seen.append((implementation, q.shape[1] % 2, k.shape[1] % 2))
        return inside(q, k, v, implementation="xla", **others)

    monkeypatch.setattr(fused, "refusal", lambda *_: "")
    monkeypatch.setattr(jax.nn, "dot_product_attention", by_xla)
    draw = np.random.default_rng(0).standard_normal
    q, k, v, d_out = (
        draw((2, length, heads, 8), np.float32) for length, heads in ((q_len, 4), (kv_len, 2), (kv_len, 2), (q_len, 4))
    )

    def passes(module: Any) -> Any:
        out, vjp = jax.vjp(lambda *arrays: module.attention(*arrays, mask=mask), q, k, v)
        return out, *vjp(d_out)

    for own, right in zip(passes(fused), passes(naive), strict=True):
        np.testing.assert_allclose(own, right, rtol=1e-4, atol=1e-5)
    assert seen == [("cudnn", 0, 0)]
    np.testing.assert_allclose(fused.attention(q, k, v, mask=mask), passes(naive)[0], rtol=1e-4, atol=1e-5)
    assert seen[1:] == [("cudnn", q_len % 2, kv_len % 2)]  # inference alone needs none
