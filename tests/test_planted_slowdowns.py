"""Planted slow-downs: what runs in them, and that both sides of a comparison run the same code."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.planted import extra
from compare.machine import environment
from compare.variants import declared
from tests import samples

ROOT = Path(__file__).parents[1]
BATCH = 40


def rows_seen(package: str, mode: str, device: str = "cpu") -> list[int]:
    """The batch sizes with which the attention was called in a forward pass."""
    adapter = import_module(f"benchmarks.planted.{package}.adapter").Adapter("cpu", 2)
    if package == "jax_attn":
        adapter._splits_by_batch = device == "cpu"
    naive, seen = import_module(f"{package}.variants.naive").attention, list[int]()

    def spy(q: Any, k: Any, v: Any) -> Any:
        seen.append(len(q))
        return naive(q, k, v)

    arrays = [np.ones((BATCH, 6, 1, 4), np.float32)] * 4
    inputs = tuple(adapter.put(each, "float32") for each in arrays)
    out = adapter.programs(spy, mode, inputs, "ieee").forward()
    assert adapter.numpy(adapter.block(out)).shape == (BATCH, 6, 1, 4)
    return seen


def test_jax_runs_planted_modes_in_pieces_on_a_cpu_and_its_own_mode_whole() -> None:
    pytest.importorskip("jax")
    assert rows_seen("jax_attn", "jit") == [BATCH]
    assert rows_seen("jax_attn", "jit+0") == rows_seen("jax_attn", "jit+5") == rows_seen("jax_attn", "jit+10") == [2]
    assert rows_seen("jax_attn", "jit+5", device="gpu") == [BATCH + 2]


def test_pytorch_runs_more_rows() -> None:
    pytest.importorskip("torch")
    assert [rows_seen("torch_attn", mode)[0] for mode in ("eager", "eager+0", "eager+5", "eager+10")] == [
        40,
        40,
        42,
        44,
    ]


def test_pieces_are_the_same_function() -> None:
    pytest.importorskip("jax")
    naive = import_module("jax_attn.variants.naive").attention
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal((4, 6, 1, 4), dtype=np.float32) for _ in range(3))
    pieces = import_module("benchmarks.planted.jax_attn.adapter").in_pieces(naive)
    np.testing.assert_allclose(pieces(q, k, v), naive(q, k, v), rtol=1e-6, atol=1e-6)


def test_a_share_that_is_no_whole_number_of_rows_is_refused() -> None:
    assert extra.rows(BATCH, 5) == 2
    with pytest.raises(ValueError, match="3% of it is no whole number of rows"):
        extra.rows(BATCH, 3)


def test_workers_on_a_cpu_keep_pages_and_ask_for_huge_ones(tmp_path: Any) -> None:
    settings = samples.run().settings
    fair = environment.fair(settings, tmp_path)
    assert fair["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert fair["MALLOC_MMAP_MAX_"] == "0"


@pytest.mark.parametrize("package", ["jax_attn", "torch_attn"])
def test_its_variant_describes_itself_or_every_case_would_be_skipped(package: str) -> None:
    planted, real = (
        declared(ast.parse((ROOT / folder / package / "variants" / "naive.py").read_text()), Path(package))
        for folder in ("benchmarks/planted", ".")
    )
    assert planted is not None
    assert planted == real
