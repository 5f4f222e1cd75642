"""The modes besides each backend's first compute the same."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from compare.backends import BACKENDS
from compare.maths import inputs
from tests.variants.checking import adapter_of, computed, judged, problem

COMPILED = [(name, mode) for name, entry in BACKENDS.items() for mode in entry.modes[1:]]


@pytest.mark.parametrize(("name", "mode"), COMPILED)
def test_the_other_modes_compute_the_same(name: str, mode: str) -> None:
    """Once, on the naive variant: a C++ compiler is slow."""
    if reason := adapter_of(name).facts().missing_modes.get(mode):
        pytest.skip(reason)
    tiny = problem("strided:4", lengths=(16, 16), head_dim=8)
    arrays = inputs.draw(tiny)
    verdict = judged(tiny, arrays, computed((name, "naive"), tiny, arrays, mode=mode))
    assert verdict.agrees, verdict


def test_every_compiled_contender_has_a_code_object_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo limits compilations by code object, which closures share: PyTorch 2.11 refused the fifth contender."""
    handed: list[Any] = []
    monkeypatch.setattr(import_module("torch"), "compile", lambda function, **_: handed.append(function) or function)
    small = problem("causal", lengths=(8, 8), head_dim=4)
    adapter = adapter_of("torch")
    tensors = tuple(adapter.put(each, "float32") for each in inputs.draw(small))
    for add in (1, 2):
        programs = adapter.programs(lambda q, k, v, add=add: q + add, "compile", tensors, "ieee")
        assert np.allclose(adapter.numpy(programs.forward()), adapter.numpy(tensors[0]) + add)
    assert len({id(each.__code__) for each in handed}) == len(handed) == 2
