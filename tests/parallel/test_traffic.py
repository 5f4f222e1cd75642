"""The bytes that devices send, counted as they are sent, against the formula."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from msgspec.structs import replace

from compare.maths.traffic import sent_bytes
from compare.schema.records import Dtype, PassName
from tests import samples
from tests.samples import described


def exchange(variant: str) -> str:
    """The scheme that a variant declares."""
    found = described(variant)
    assert found is not None
    return found.exchange


PROBLEM = samples.problem(batch=2, q_len=32, kv_len=32, heads=8, kv_heads=4, head_dim=16, mask="causal")


class OneOfMany:
    """A rank whose partners are made up: what it sends is counted, what it receives is its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        self.dist = import_module("torch.distributed")
        self.size, self.sent_bytes = size, 0
        fakes: dict[str, Any] = {
            "is_initialized": lambda: True,
            "get_world_size": lambda: size,
            "get_rank": lambda: 1,
            "P2POp": lambda op, tensor, peer: (op, tensor),
            "batch_isend_irecv": self.exchange,
            "all_gather_into_tensor": self.gather,
            "reduce_scatter_tensor": self.scatter,
            "all_to_all_single": self.swap,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(self.dist, name, fake)

    def exchange(self, work: list[Any]) -> list[Any]:
        sent = [tensor for op, tensor in work if op is self.dist.isend]
        for (_, into), tensor in zip([each for each in work if each[0] is self.dist.irecv], sent, strict=True):
            into.copy_(tensor)
            self.sent_bytes += tensor.nbytes
        return []

    def gather(self, into: Any, tensor: Any) -> None:
        into.copy_(tensor.repeat(self.size, *(1,) * (tensor.dim() - 1)))
        self.sent_bytes += (self.size - 1) * tensor.nbytes

    def scatter(self, into: Any, of_all: Any) -> None:
        into.copy_(of_all[: len(into)])
        self.sent_bytes += of_all.nbytes - into.nbytes

    def swap(self, into: Any, sent: Any) -> None:
        into.copy_(sent)
        self.sent_bytes += sent.nbytes * (self.size - 1) // self.size


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("variant", ["ring", "allgather", "ulysses"])
def test_what_is_sent_is_what_the_formula_says(
    monkeypatch: pytest.MonkeyPatch, variant: str, devices: int, dtype: Dtype
) -> None:
    torch = import_module("torch")
    problem = replace(PROBLEM, devices=devices, dtype=dtype)
    attention = import_module(f"torch_attn.variants.{variant}").attention
    shapes = (problem.q_shape, problem.kv_shape, problem.kv_shape)
    tensors = [torch.randn(b, t // devices, n, h).to(getattr(torch, dtype)).requires_grad_() for b, t, n, h in shapes]
    one = OneOfMany(monkeypatch, devices)
    out = attention(*tensors, mask="causal")
    assert one.sent_bytes == sent_bytes(exchange(variant), problem, "forward")
    torch.autograd.grad(out, tensors, torch.randn_like(out))
    assert one.sent_bytes == sent_bytes(exchange(variant), problem, "step")


def inner(equation: Any) -> Iterator[Any]:
    """The programs inside an equation of a traced one."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if hasattr(found := getattr(each, "jaxpr", each), "eqns"):
                yield found


def sent_in(program: Any, devices: int) -> int:
    """Bytes that each device sends in a traced program, of whose branches one runs."""
    others, total = devices - 1, 0
    for equation in program.eqns:
        taken = sum(each.aval.size * each.aval.dtype.itemsize for each in equation.invars)
        total += {
            "ppermute": taken,
            "all_gather": others * taken,
            "reduce_scatter": others * taken // devices,
            "all_to_all": others * taken // devices,
        }.get(equation.primitive.name, 0)
        parts = [sent_in(each, devices) for each in inner(equation)]
        assert not any(parts) or equation.primitive.name != "while"  # nobody knows how often
        several = max(parts, default=0) if equation.primitive.name == "cond" else sum(parts)
        total += equation.params.get("length", 1) * several
    return total


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("variant", ["ring", "allgather", "ulysses"])
def test_what_jax_sends_is_what_the_formula_says(
    monkeypatch: pytest.MonkeyPatch, variant: str, devices: int, dtype: Dtype
) -> None:
    """By the programs as they are traced, on a mesh of devices that need not be there."""
    jax, sequence = import_module("jax"), import_module("jax_attn.sequence")
    auto = (jax.sharding.AxisType.Auto,)
    monkeypatch.setattr(sequence, "_meshes", [jax.sharding.AbstractMesh((devices,), (sequence.AXIS,), axis_types=auto)])
    problem = replace(PROBLEM, devices=devices, dtype=dtype, layers=3)
    attention = import_module(f"jax_attn.variants.{variant}").attention
    stacked = import_module("jax_attn.stack").stacked(attention, problem.layers)
    shapes = (problem.q_shape, problem.kv_shape, problem.kv_shape)
    arrays = [jax.ShapeDtypeStruct(each, jax.numpy.dtype(dtype)) for each in shapes]

    def step(q: Any, k: Any, v: Any, d_out: Any) -> Any:
        out, gradients = jax.vjp(stacked, q, k, v)
        return out, gradients(d_out)

    assert sent_in(jax.make_jaxpr(stacked)(*arrays).jaxpr, devices) == sent_bytes(exchange(variant), problem, "forward")
    assert sent_in(jax.make_jaxpr(step)(*arrays, arrays[0]).jaxpr, devices) == sent_bytes(
        exchange(variant), problem, "step"
    )


def test_one_device_sends_nothing_and_an_unknown_scheme_is_not_guessed() -> None:
    passes: tuple[PassName, ...] = ("forward", "backward", "step")
    assert all(sent_bytes("ring", PROBLEM, name) == 0 for name in passes)
    assert all(sent_bytes("", replace(PROBLEM, devices=2), name) is None for name in passes)


def test_what_pytorchs_own_ring_sends_has_as_many_key_heads_as_query_heads() -> None:
    grouped = replace(PROBLEM, devices=4)
    for name in ("forward", "backward", "step"):
        sent = sent_bytes(exchange("context_parallel"), grouped, name)
        assert sent == 2 * (sent_bytes("ring", grouped, name) or 0)
        assert sent == sent_bytes("ring", replace(grouped, kv_heads=8), name)
