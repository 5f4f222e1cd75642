"""A sequence over the devices of a mesh: what a device computes of its own queries on another one's keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from compare.maths import zigzag
from compare.schema.contract import Scores
from jax_attn import blocks
from jax_attn.blocks import Part

AXIS = "sequence"
Gradients = tuple[Array, Array, Array]
Local = Callable[..., Array]


_meshes: list[Mesh] = []  # the newest is in use


def use(devices: Sequence[jax.Device]) -> Mesh:
    """Lay sequences over these devices from now on.

    By XLA's older partitioner, which has nothing to do here, where every program is written for one device: Shardy
    (jaxlib 0.11.2 for GPUs) crashes as it compiles gradients whose loops communicate in branches.
    """
    if hasattr(jax.config, "jax_use_shardy_partitioner"):  # a newer JAX may have Shardy alone
        jax.config.update("jax_use_shardy_partitioner", False)  # type: ignore[no-untyped-call]
    _meshes.append(Mesh(np.array(devices), (AXIS,)))
    return _meshes[-1]


def devices() -> int:
    """How many devices share a sequence; 1 unless `use` was called."""
    return int(_meshes[-1].size) if _meshes else 1


def over_devices(local: Local, *arrays: Array) -> Array:
    """Run ``local`` on each device's positions of arrays [B, T, N, H], which lie as `zigzag.positions` says."""
    if devices() == 1:
        return local(*arrays)
    at = PartitionSpec(None, AXIS)  # type: ignore[no-untyped-call]
    run = jax.shard_map(local, mesh=_meshes[-1], in_specs=(at,) * len(arrays), out_specs=at, check_vma=False)
    result: Array = run(*arrays)
    return result


def shared(attend: Callable[[Scores], Local], q: Array, k: Array, v: Array, parsed: Scores) -> Array:
    """A variant on several devices, by what `attend` made of its two halves.

    Raises NotImplementedError for what the devices cannot share.
    """
    check(q, k, parsed)
    return over_devices(attend(parsed), q, k, v)


def check(q: Array, k: Array, parsed: Scores) -> None:
    """Raises NotImplementedError for what cannot be laid over the devices of the mesh."""
    if reason := zigzag.refusal(q.shape[1], k.shape[1], parsed.mask, devices()):
        raise NotImplementedError(reason)


def rank() -> Array | int:
    """Which of the devices this is."""
    return jax.lax.axis_index(AXIS) if devices() > 1 else 0


def owner(steps: int) -> Array | int:
    """The device that lies so many steps before this one in the ring."""
    return (rank() - steps) % devices()


def shifted(*arrays: Array) -> tuple[Array, ...]:
    """What the device before this one in the ring has of the same arrays."""
    ring = [(device, (device + 1) % devices()) for device in range(devices())]
    return tuple(jax.lax.ppermute(each, AXIS, ring) for each in arrays)  # type: ignore[no-untyped-call]


def sent_anew(changing: Array, *arrays: Array) -> tuple[Array, ...]:
    """The same, not to be sent before the first one is known.

    Else a step would send keys and values once for both its passes, and a scan once for all layers that share them, and
    keep what it received.
    """
    found: tuple[Array, ...] = jax.lax.optimization_barrier((changing, *arrays))  # type: ignore[no-untyped-call]
    return found


def add(whole: Part, q: Array, k: Array, v: Array, owner: Array | int, parsed: Scores) -> Part:
    """``whole`` with what this device's q sees of another device's k and v."""
    if parsed.mask.kind != "causal":
        return blocks.merge(whole, blocks.forward(q, k, v, parsed.unmasked()))
    half, keys = q.shape[1] // 2, k.shape[1] // 2

    def lower_keys(whole: Part) -> Part:
        return blocks.merge(whole, blocks.forward(q, k[:, :keys], v[:, :keys], parsed.unmasked()))

    def upper_queries(whole: Part) -> Part:
        out, log_sum = blocks.merge(_upper(whole, half), blocks.forward(q[:, half:], k, v, parsed.unmasked()))
        return jnp.concatenate([whole[0][:, :half], out], 1), jnp.concatenate([whole[1][:, :half], log_sum], 1)

    found: Part = jax.lax.cond(owner < rank(), lower_keys, upper_queries, whole)
    return found


def share(d_out: Array, q: Array, k: Array, v: Array, whole: Part, owner: Array | int, parsed: Scores) -> Gradients:
    """The gradients by way of another device's keys: of this device's q, and of that one's k and v."""
    if parsed.mask.kind != "causal":
        return _wide(blocks.backward(d_out, q, k, v, whole, parsed.unmasked()))
    half, keys = q.shape[1] // 2, k.shape[1] // 2

    def lower_keys() -> Gradients:
        d_q, d_k, d_v = blocks.backward(d_out, q, k[:, :keys], v[:, :keys], whole, parsed.unmasked())
        return _wide((d_q, _filled(d_k, after=keys), _filled(d_v, after=keys)))

    def upper_queries() -> Gradients:
        upper = _upper(whole, half)
        d_q, d_k, d_v = blocks.backward(d_out[:, half:], q[:, half:], k, v, upper, parsed.unmasked())
        return _wide((_filled(d_q, before=half), d_k, d_v))

    found: Gradients = jax.lax.cond(owner < rank(), lower_keys, upper_queries)
    return found


def own(d_out: Array, q: Array, k: Array, v: Array, whole: Part, parsed: Scores) -> Gradients:
    """The gradients by way of this device's own keys."""
    return _wide(blocks.backward(d_out, q, k, v, whole, parsed))


def attend(forward: Callable[..., Part], backward: Callable[..., Gradients]) -> Callable[[Scores], Local]:
    """A device's part as a function of its q, k and v, by its two halves, a group of heads at a time.

    ``forward`` (q, k, v, parsed) gives output and log-sum-exp.  ``backward`` (d_out, q, k, v, whole, parsed) gives the
    share of these keys in dQ, dK and dV, in float32 (float64 of float64).
    """

    @partial(jax.custom_vjp, nondiff_argnums=(0,))
    def local(parsed: Scores, q: Array, k: Array, v: Array) -> Array:
        return keep(parsed, q, k, v)[0]

    def keep(parsed: Scores, q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
        def run(q: Array, k: Array, v: Array) -> Part:
            out, log_sum = forward(q, k, v, parsed)
            return out.astype(q.dtype), log_sum

        out, log_sum = by_heads(run, *sent_anew(q, k, v))
        return out, (q, k, v, out, log_sum)

    def gradients(parsed: Scores, kept: tuple[Array, ...], d_out: Array) -> Gradients:
        def run(d_out: Array, q: Array, k: Array, v: Array, out: Array, log_sum: Array) -> Gradients:
            found = backward(d_out, q, k, v, (out.astype(log_sum.dtype), log_sum), parsed)
            d_q, d_k, d_v = (new.astype(old.dtype) for new, old in zip(found, (q, k, v), strict=True))
            return d_q, d_k, d_v

        q, k, v, out, log_sum = kept
        d_out, k, v = sent_anew(d_out, k, v)
        d_q, d_k, d_v = by_heads(run, d_out, q, k, v, out, log_sum)
        return d_q, d_k, d_v

    local.defvjp(keep, gradients)
    return lambda parsed: partial(local, parsed)


def by_heads(run: Callable[..., tuple[Array, ...]], *arrays: Array) -> tuple[Array, ...]:
    """``run`` on one group of heads after the other: what it holds between is a group's alone.

    The arrays and the results are [B, T, N, H], or have key heads in the place of N.
    """
    groups = zigzag.head_groups(min(each.shape[2] for each in arrays))

    def some(group: Array | int, whole: Array) -> Array:
        size = whole.shape[2] // groups
        found: Array = jax.lax.dynamic_slice_in_dim(whole, group * size, size, axis=2)
        return found

    def step(group: Array, found: tuple[Array, ...]) -> tuple[Array, ...]:
        parts = run(*(some(group, each) for each in arrays))
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(whole, part, group * part.shape[2], axis=2)
            for whole, part in zip(found, parts, strict=True)
        )

    shapes = jax.eval_shape(run, *(some(0, each) for each in arrays))
    wholes = tuple(jnp.zeros((*x.shape[:2], x.shape[2] * groups, x.shape[3]), x.dtype) for x in shapes)
    found: tuple[Array, ...] = jax.lax.fori_loop(0, groups, step, wholes)
    return found


def _upper(whole: Part, half: int) -> Part:
    return whole[0][:, half:], whole[1][:, half:]


def _filled(x: Array, before: int = 0, after: int = 0) -> Array:
    return jnp.pad(x, ((0, 0), (before, after), (0, 0), (0, 0)))


def _wide(gradients: Gradients) -> Gradients:
    d_q, d_k, d_v = (each.astype(jnp.promote_types(each.dtype, jnp.float32)) for each in gradients)
    return d_q, d_k, d_v
