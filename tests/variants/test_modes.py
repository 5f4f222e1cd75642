"""The modes besides each backend's first compute the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare import inputs
from compare.backends import BACKENDS, missing_modules
from tests.variants.test_conformance import adapter_of, computed, judged, problem

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
