"""In the worker: from a contender and a problem to the function of q, k and v that is timed.

It knows no framework: arrays are moved by methods that all frameworks have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from compare import variants
from compare.backends import Adapter
from compare.maths import inputs, zigzag
from compare.schema.records import Case, Contender, Device, Dtype, Layout, Problem


class Devices(Protocol):
    """Several devices that share a sequence, in ``devices.py`` of a backend that has variants for it."""

    rank: int
    count: int

    def __init__(self, device: Device, count: int) -> None: ...

    def put(self, array: NDArray[np.float32], dtype: Dtype) -> Any:
        """This process's positions of [B, T, N, H], whose positions lie in the order of the devices."""

    def numpy(self, array: Any) -> NDArray[np.float32]:
        """All devices' positions of [B, T, N, H] on the host, in the order of the devices."""

    def shifted(self, array: Any) -> Any:
        """On each device what the one before it has of [B, T, N, H]."""

    def slowest(self, seconds: float) -> float:
        """The longest time of all processes, so that they decide alike."""

    def meet(self) -> None:
        """Go on when all processes have come here."""


Attention = Callable[..., Any]
Array = NDArray[Any]


class Found(NamedTuple):
    """A contender's function, and for a variant that chooses among others how to ask it for the name of its choice."""

    attention: Attention
    chosen: Callable[..., str] | None


def find(package: str, contender: Contender) -> Found:
    """The function that a contender names."""
    if variants.is_own(contender.variant):
        return Found(partial(variants.load(contender.variant), scale=None), None)
    module = import_module(f"{package}.variants.{contender.variant}")
    return Found(module.attention, getattr(module, "chosen", None))


def composed(attention: Attention, package: str, problem: Problem) -> Attention:
    """The function on arrays in the problem's layout: its mask, and as many layers as it has."""

    def masked(q: Any, k: Any, v: Any) -> Any:
        return attention(q, k, v, mask=problem.mask)

    layers = masked
    if problem.layers > 1:
        layers = import_module(f"{package}.stack").stacked(masked, problem.layers)
    if problem.layout == "btnh":
        return layers

    def turned(q: Any, k: Any, v: Any) -> Any:
        return layers(*(each.swapaxes(1, 2) for each in (q, k, v))).swapaxes(1, 2)

    return turned


def chosen(found: Found, problem: Problem, inputs: tuple[Any, ...]) -> str:
    """The name of the variant that a choosing one runs on these inputs; empty for all others."""
    if found.chosen is None:
        return ""
    q, k, v = (each if problem.layout == "btnh" else each.swapaxes(1, 2) for each in inputs[:3])
    return found.chosen(q, k, v, problem.scores)


def foreseen(package: str, case: Case, trained: bool, adapter: Adapter) -> str:
    """Why a variant will refuse a case on one device, as far as it says so beforehand; empty where it does not."""
    module, problem = import_module(f"{package}.variants.{case.contender.variant}"), case.problem
    shapes = problem.q_shape, problem.kv_shape, problem.kv_shape
    looked_at = (*(adapter.outline(shape, problem.dtype, trained) for shape in shapes), problem.scores)
    if hasattr(module, "refusal"):
        return str(module.refusal(*looked_at))
    try:
        module.chosen(*looked_at)
    except NotImplementedError as reason:
        return str(reason)
    return ""


def put(problem: Problem, adapter: Adapter, devices: Devices | None) -> tuple[Any, ...]:
    """q, k, v and dO of a problem on the device, or each over the devices that share it."""
    if devices is None:
        return tuple(adapter.put(laid_out(each, problem.layout), problem.dtype) for each in inputs.draw(problem))
    return tuple(devices.put(each[:, _positions(problem, each)], problem.dtype) for each in inputs.draw(problem))


def numbers(result: Any, problem: Problem, adapter: Adapter, devices: Devices | None) -> NDArray[np.float32]:
    """A result as [B, T, N, H] on the host."""
    if devices is None:
        return laid_out(adapter.numpy(result), problem.layout)
    found = devices.numpy(result)
    return found[:, np.argsort(_positions(problem, found))]


def _positions(problem: Problem, array: Array) -> Array:
    causal = problem.scores.mask.kind == "causal"
    return zigzag.positions(array.shape[1], problem.devices, causal)


def laid_out(array: Array, layout: Layout) -> Array:
    """An array [B, T, N, H] as it lies in memory by a layout, or back: turning twice turns nothing."""
    return array if layout == "btnh" else np.ascontiguousarray(array.swapaxes(1, 2))
