"""`fused` is what it chooses, and nothing besides."""

from __future__ import annotations

from importlib import import_module
from itertools import product
from typing import Any

import pytest

from compare.backends import BACKENDS, backend
from compare.maths import inputs
from compare.schema.contract import scores
from compare.schema.records import DTYPES
from tests.variants.checking import MASKS, adapter_of, attention_of, problem


@pytest.mark.parametrize("name", BACKENDS)
def test_it_hands_everything_to_what_it_chooses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = f"{backend(name).package}.variants"
    for mask, dtype in product(MASKS, DTYPES):
        where = problem(mask, dtype=dtype)
        given = [adapter_of(name).put(each, dtype) for each in inputs.draw(where)[:3]]
        chosen = import_module(f"{variants}.fused").chosen(*given, scores(mask))
        handed: list[Any] = []

        def taken(*arrays: Any, handed: list[Any] = handed, **how: Any) -> str:
            handed.append((arrays, how))
            return "its result"

        with monkeypatch.context() as patch:
            patch.setattr(import_module(f"{variants}.{chosen}"), "attention", taken)
            assert attention_of((name, "fused"))(*given, mask=mask, scale=0.3) == "its result"
        [(arrays, how)] = handed
        assert all(one is other for one, other in zip(arrays, given, strict=True))
        assert how == {"mask": mask, "scale": 0.3}
