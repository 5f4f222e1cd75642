"""PyTorch's own context parallelism: a ring of its scaled_dot_product_attention over the ranks, on NVIDIA GPUs.

What `torch.distributed.tensor.experimental.context_parallel` runs inside its context, without the exchange of
functions that it begins with: here the ranks hold their positions already, in the layout that it uses too
(`compare.maths.zigzag`).  It is experimental in PyTorch 2.11 to 2.14.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.experimental import _attention as ring
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from compare.maths import zigzag
from compare.schema.contract import Scores, Variant, check, undeclared
from torch_attn import blocks, sequence
from torch_attn.variants import fused

VARIANT = Variant(
    summary="PyTorch's own context parallelism on cuDNN's kernel",
    masks=("full", "causal", "window", "strided"),
    scores="none",
    recomputes=True,
    solution="sequence parallelism",
    exchange="ring_of_query_heads",
    alone="fused",
    only="it is a part of PyTorch",
)

KERNEL = SDPBackend.CUDNN_ATTENTION  # its flash kernel takes 1.7 times as long on Hopper


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: str = "causal", scale: float | None = None) -> Tensor:
    """softmax(q k^T * scale + mask) v for q [B, T, N, H], k [B, S, K, H], v [B, S, K, H]; returns [B, T, N, H].

    T and S lie over the ranks as `compare.maths.zigzag` says; the tensors hold those of this rank.  Raises ValueError
    for shapes or a mask that do not fit, NotImplementedError for lengths that the ranks cannot share and off NVIDIA
    GPUs.
    The softmax and the sums inside the products are float32; on one device they are those of `fused`.
    """
    parsed = check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    if sequence.devices() == 1:
        return fused.attention(q, k, v, mask=mask, scale=scale)
    if reason := refusal(q, k, v, parsed):
        raise NotImplementedError(reason)
    causal = parsed.mask.kind == "causal"
    q, k, v = (_over_ranks(each.transpose(1, 2), causal) for each in _as_many_heads(q, k, v))
    with sdpa_kernel(KERNEL):
        out: Any = scaled_dot_product_attention(q, k, v, is_causal=causal, scale=parsed.scale)
    own: Tensor = out.to_local()
    return own.transpose(1, 2)


def refusal(q: Tensor, k: Tensor, v: Tensor, parsed: Scores) -> str:
    """Why PyTorch's context parallelism cannot do this on several devices; empty where it can."""
    if reason := undeclared(__name__, VARIANT, parsed):
        return reason
    if not q.is_cuda:
        return "context_parallel: needs NVIDIA GPUs"
    lengths = q.shape[1] * sequence.devices(), k.shape[1] * sequence.devices()
    return zigzag.refusal(*lengths, parsed.mask, sequence.devices()) or blocks.refusal(q, v)


def _as_many_heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Key heads once for each of their query heads: it has no grouped ones."""
    times = q.shape[2] // k.shape[2]
    if times == 1:
        return q, k, v
    return q, k.repeat_interleave(times, 2), v.repeat_interleave(times, 2)


def _over_ranks(x: Tensor, causal: bool) -> Any:
    """This rank's [B, N, T, H] as a part of the whole sequence's, which lies in the balanced layout if causal."""
    ring._cp_options.enable_load_balance = causal  # read in the backward pass too: all programs of a problem agree
    return DTensor.from_local(x, _mesh(x.device.type), [Shard(2)], run_check=False)


@cache
def _mesh(device: str) -> Any:
    """The ranks, with attention over them set to run as a ring that sends while it computes."""
    ring.set_rotate_method("alltoall")
    ring._enable_context_parallel_dispatcher()
    return init_device_mesh(device, (sequence.devices(),))
