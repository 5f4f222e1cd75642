"""The modes besides each backend's first compute the same."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from compare import composing, inputs
from compare.backends import BACKENDS, missing_modules
from tests.variants.test_conformance import adapter_of, computed, judged, problem

MANY = ("naive", "naive_lean", "checkpoint", "fused_flash", "fused")  # one more than PyTorch 2.11 took of one function
COMPILED = [(name, mode) for name, entry in BACKENDS.items() for mode in entry.modes[1:]]


@pytest.mark.parametrize(("name", "mode"), COMPILED)
def test_the_other_modes_compute_the_same(
    name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, on the naive variant: a C++ compiler is slow."""
    if missing := missing_modules(name):
        pytest.skip(f"{name} is not installed: {', '.join(missing)}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    if reason := adapter_of(name).facts().missing_modes.get(mode):
        pytest.skip(reason)
    tiny = problem("strided:4", lengths=(16, 16), head_dim=8)
    arrays = inputs.draw(tiny)
    verdict = judged(tiny, arrays, computed((name, "naive"), tiny, arrays, mode=mode))
    assert verdict.agrees, verdict


@pytest.mark.skipif(bool(missing_modules("torch")), reason="PyTorch is not installed")
def test_many_compiled_contenders_live_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo allows eight compilations of a code object, and all contenders' functions stand on the same lines."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    adapter = adapter_of("torch")
    if reason := adapter.facts().missing_modes.get("compile"):
        pytest.skip(reason)
    small = problem("causal", lengths=(16, 16), head_dim=8)
    tensors = tuple(adapter.put(each, "float32") for each in inputs.draw(small))
    variants = [import_module(f"torch_attn.variants.{name}") for name in MANY]
    whole = [composing.composed(each.attention, "torch_attn", small) for each in variants]
    outputs = []
    for programs in [adapter.programs(each, "compile", tensors, "ieee") for each in whole]:
        outputs += [adapter.numpy(programs.forward()), adapter.numpy(saved := programs.save())]
        programs.backward(saved)
    adapter.release()
    assert all(np.allclose(each, outputs[0], atol=1e-5) for each in outputs)
