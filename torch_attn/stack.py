"""Layers of attention one upon the other, as a transformer has them, in PyTorch: a loop."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def stacked(
    attention: Callable[[Tensor, Tensor, Tensor], Tensor], layers: int
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """x + attention(x, k, v), ``layers`` times from x = q [B, T, N, H]; all have the same k and v [B, S, K, H]."""

    def stack(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        x = q
        for _ in range(layers):
            x = x + attention(x, k, v)
        return x

    return stack
