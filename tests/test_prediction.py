"""The predicted bytes are those of the seed's own table, whose formula is now in `compare.maths.prediction`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from compare.maths.prediction import needed_bytes, score_bytes, seed_backward_bytes, seed_forward_bytes
from compare.schema.records import PASSES
from tests.samples import described, problem

# d_model, seq_len, batch_size, Forward Memory (MB), Backward Memory (MB), Attention Matrix (MB): the seed's results of
# 2025-05-30 on a CPU, float32, one head; MB = 10^6 bytes.
SEED = [
    (16, 256, 4, 1.3, 2.4, 1.0),
    (16, 1024, 4, 17.8, 34.6, 16.8),
    (16, 4096, 4, 272.6, 541.1, 268.4),
    (32, 256, 4, 1.6, 2.6, 1.0),
    (32, 1024, 4, 18.9, 35.7, 16.8),
    (32, 4096, 4, 276.8, 545.3, 268.4),
    (64, 256, 4, 2.1, 3.1, 1.0),
    (64, 1024, 4, 21.0, 37.7, 16.8),
    (64, 4096, 4, 285.2, 553.6, 268.4),
]


@pytest.mark.parametrize(("d_model", "seq_len", "batch", "forward_mb", "backward_mb", "matrix_mb"), SEED)
def test_the_seeds_table_to_its_last_digit(
    d_model: int, seq_len: int, batch: int, forward_mb: float, backward_mb: float, matrix_mb: float
) -> None:
    where = problem(seq_len, d_model, batch)
    found = [each(where) / 1e6 for each in (seed_forward_bytes, seed_backward_bytes, score_bytes)]
    assert [round(each, 1) for each in found] == [forward_mb, backward_mb, matrix_mb]


def test_a_small_problem_counted_by_hand() -> None:
    where = problem(batch=2, q_len=3, kv_len=5, heads=4, kv_heads=2, head_dim=8, dtype="bfloat16")
    matrix = 2 * 4 * 3 * 5 * 2
    q, k, out = 2 * 3 * 4 * 8 * 2, 2 * 5 * 2 * 8 * 2, 2 * 3 * 4 * 8 * 2
    assert score_bytes(where) == matrix
    assert seed_forward_bytes(where) == q + 2 * k + matrix + out
    assert seed_backward_bytes(where) == q + 2 * k + 2 * matrix + out


def test_what_a_case_needs_covers_the_seeds_columns_and_grows_with_its_passes() -> None:
    where = problem(1024, 64)
    assert needed_bytes(where, ("forward",)) >= seed_forward_bytes(where)
    assert needed_bytes(where, ("backward",)) >= seed_backward_bytes(where)
    assert needed_bytes(where, PASSES) >= needed_bytes(where, ("backward",)) > needed_bytes(where, ("forward",))
    longer = needed_bytes(replace(where, q_len=8192, kv_len=8192), PASSES) / needed_bytes(
        replace(where, q_len=4096, kv_len=4096), PASSES
    )
    assert longer == pytest.approx(4, rel=0.05)


def test_each_further_layer_keeps_its_matrices_unless_it_is_checkpointed() -> None:
    one, three = problem(1024, 64), problem(1024, 64, layers=3)
    for variant, matrices in (("naive", 3), ("naive_lean", 1), ("checkpoint", 0)):
        more = needed_bytes(three, ("step",), described(variant)) - needed_bytes(one, ("step",), described(variant))
        assert 2 * matrices * score_bytes(one) <= more < (2 * matrices + 1) * score_bytes(one)
    assert needed_bytes(three, ("forward",)) == needed_bytes(one, ("forward",))
