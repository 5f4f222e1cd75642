"""Memory over time, the whole way from the allocation events of a fake to the rows."""

from __future__ import annotations

from pathlib import Path

from compare.cli.main import main
from compare.schema.records import PASSES
from tests.run_fake import arguments, row

TENSOR, MATRIX = 2 * 16 * 8 * 4, 2 * 16 * 16 * 4


def test_every_pass_has_its_curve_which_reaches_the_rows_peak(out: Path) -> None:
    assert main([*arguments(out, "fake:naive"), "--processes", "2"]) == 0
    found = row(out, "fake:naive:eager").passes
    assert tuple(found) == PASSES
    for result in found.values():
        assert result.memory_over_time.source == result.peak_source
        assert result.memory_over_time.peak_bytes == result.peak_bytes
    step = found["step"].memory_over_time
    forward = (0, MATRIX, 2 * MATRIX, 2 * MATRIX + TENSOR, MATRIX + TENSOR)
    backward = [MATRIX + TENSOR + more for more in (MATRIX, 2 * MATRIX, *(2 * MATRIX + n * TENSOR for n in (1, 2, 3)))]
    assert step.levels_bytes == (*forward, *backward, MATRIX + 4 * TENSOR, 4 * TENSOR)
    assert 0 < step.moments_s[1] < step.moments_s[-1] <= step.window_s
