"""A sequence over the ranks of a process group: what a rank computes of its own queries on another one's keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from compare.maths import zigzag
from compare.schema.contract import Scores
from torch_attn import blocks
from torch_attn.blocks import Gradients, Part

Attend = Callable[[Tensor, Tensor, Tensor, Scores], Tensor]


def devices() -> int:
    """How many ranks share a sequence; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def owner(steps: int) -> int:
    """The rank that lies so many steps before this one in the ring."""
    return (rank() - steps) % devices()


def shared(attend: Attend, q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Tensor:
    """A variant on several ranks, by what `attend` made of its two halves.

    Raises NotImplementedError for what the ranks cannot share.
    """
    check(q, k, v, parsed)
    return attend(q, k, v, parsed)


def check(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> None:
    """Raises NotImplementedError for what cannot be laid over the ranks; q and k hold this rank's positions."""
    lengths = q.shape[1] * devices(), k.shape[1] * devices()
    if reason := zigzag.refusal(*lengths, parsed.mask, devices()) or blocks.refusal(q, v):
        raise NotImplementedError(reason)


class Coming:
    """Tensors on their way to the next rank in the ring, while those of the rank before this one come here."""

    def __init__(self, *tensors: Tensor) -> None:
        to, source = (rank() + 1) % devices(), (rank() - 1) % devices()
        self._sent = [each.contiguous() for each in tensors]
        self._coming = [torch.empty_like(each) for each in self._sent]
        work = [dist.P2POp(dist.isend, each, to) for each in self._sent]
        work += [dist.P2POp(dist.irecv, each, source) for each in self._coming]
        self._work = dist.batch_isend_irecv(work) if work else []

    def arrived(self) -> tuple[Tensor, ...]:
        """What the rank before this one in the ring had of the same tensors, once it is here."""
        for each in self._work:
            each.wait()
        self._sent.clear()
        return tuple(self._coming)


def add(whole: Part, q: Tensor, k: Tensor, v: Tensor, owner: int, parsed: Scores) -> Part:
    """``whole`` with what this rank's q sees of another rank's k and v."""
    half, keys = q.shape[1] // 2, k.shape[1] // 2
    match zigzag.sees(rank(), owner, parsed.mask.kind == "causal"):
        case "lower keys":
            return blocks.merge(whole, blocks.forward(q, k[:, :keys], v[:, :keys], parsed.unmasked()))
        case "upper queries":
            merged = blocks.merge(_upper(whole, half), blocks.forward(q[:, half:], k, v, parsed.unmasked()))
            for into, found in zip(_upper(whole, half), merged, strict=True):
                into.copy_(found)
            return whole
        case _:
            return blocks.merge(whole, blocks.forward(q, k, v, parsed.unmasked()))


class Share(NamedTuple):
    """A part of a gradient, and the positions that it belongs to."""

    part: Tensor
    positions: slice = slice(None)

    def add_to(self, total: Tensor) -> None:
        """In place, and rounded to the total's dtype alone."""
        total[:, self.positions] += self.part


def share(
    d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: Part, owner: int, parsed: Scores
) -> tuple[Share, Share, Share]:
    """The gradients by way of another rank's keys: of this rank's q, and of that one's k and v."""
    half, keys = q.shape[1] // 2, k.shape[1] // 2
    match zigzag.sees(rank(), owner, parsed.mask.kind == "causal"):
        case "lower keys":
            lower = slice(keys)
            found = blocks.backward(d_out, q, k[:, lower], v[:, lower], whole, parsed.unmasked())
            return Share(found[0]), Share(found[1], lower), Share(found[2], lower)
        case "upper queries":
            upper = slice(half, None)
            found = blocks.backward(d_out[:, upper], q[:, upper], k, v, _upper(whole, half), parsed.unmasked())
            return Share(found[0], upper), Share(found[1]), Share(found[2])
        case _:
            d_q, d_k, d_v = blocks.backward(d_out, q, k, v, whole, parsed.unmasked())
            return Share(d_q), Share(d_k), Share(d_v)


def own(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: Part, parsed: Scores) -> Gradients:
    """The gradients by way of this rank's own keys."""
    return _wide(blocks.backward(d_out, q, k, v, whole, parsed))


def attend(forward: Callable[..., Part], backward: Callable[..., Gradients]) -> Attend:
    """A rank's part as a function of its q, k and v, by its two halves, a group of heads at a time.

    ``forward`` (q, k, v, parsed) gives output and log-sum-exp.  ``backward`` (d_out, q, k, v, whole, parsed) gives the
    share of these keys in dQ, dK and dV, in float32 (float64 of float64).
    """

    class Local(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Tensor:
            wide = torch.promote_types(q.dtype, torch.float32)
            out, log_sum = q.new_empty(*q.shape[:3], v.shape[3]), q.new_empty(*q.shape[:3], 1, dtype=wide)
            for some in by_heads(out, log_sum, q, k, v):
                whole = forward(*some[2:], parsed)
                for into, found in zip(some, whole, strict=False):
                    into.copy_(found)
            ctx.save_for_backward(q, k, v, out, log_sum)
            ctx.parsed = parsed
            return out

        @staticmethod
        def backward(ctx: Any, *d_outs: Tensor) -> Any:
            q, k, v, out, log_sum = ctx.saved_tensors
            gradients = [torch.empty_like(each) for each in (q, k, v)]
            for *into, d_out, q_, k_, v_, out_, log_sum_ in by_heads(*gradients, d_outs[0], q, k, v, out, log_sum):
                found = backward(d_out, q_, k_, v_, (out_.to(log_sum.dtype), log_sum_), ctx.parsed)
                for some, new in zip(into, found, strict=True):
                    some.copy_(new)
            return *gradients, None

    def local(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> Tensor:
        out: Tensor = Local.apply(q, k, v, parsed)
        return out

    return local


def by_heads(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """One group of heads of the tensors after the other: what is held between is a group's alone.

    The tensors are [B, T, N, H], or have key heads in the place of N.
    """
    groups = zigzag.head_groups(min(each.shape[2] for each in tensors))
    yield from zip(*(each.chunk(groups, 2) for each in tensors), strict=True)


def _upper(whole: Part, half: int) -> Part:
    return whole[0][:, half:], whole[1][:, half:]


def _wide(gradients: Gradients) -> Gradients:
    d_q, d_k, d_v = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in gradients)
    return d_q, d_k, d_v
