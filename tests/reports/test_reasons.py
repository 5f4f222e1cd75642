"""Why two times differ: sentences worked out by hand, and how both reports show them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from compare.analysis import kernels as reasons
from compare.render import terminal
from compare.results import store
from compare.schema.records import Kernel, Measurement, PassResult, Row, Run
from tests import samples
from tests.reports.rendered import page, part
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

H200 = Path(__file__).resolve().parents[2] / "results" / "h200" / "bfloat16" / store.RESULTS
NAMES = {"mm": "aten::bmm", "softmax": "aten::_softmax", "mask": "aten::masked_fill_", "add": "aten::add"}


def row(contender: Any, *kernels: Kernel, time_ms: float | None = None, jitter: float = 0.0) -> Measurement:
    """A forward pass made of these kernels, whose times are ms."""
    time_s = (time_ms or sum(kernel.device_s for kernel in kernels)) / 1e3
    found = measurement(problem(), contender, time_s, passes=("forward",), jitter=jitter)
    scaled = tuple(replace(kernel, device_s=kernel.device_s / 1e3) for kernel in kernels)
    return replace(found, passes={"forward": replace(found.passes["forward"], kernels=scaled)})


def kernel(name: str, time_ms: float, count: int = 1, contents: str = "") -> Kernel:
    return Kernel(name=NAMES.get(name, name), count=count, device_s=time_ms, contents=tuple(contents.split()))


def text(one: Measurement, reference: Measurement) -> str:
    [found] = reasons.reasons([reference, one], 0.01, "op")
    return found.text


JIT = row(JAX, kernel("dot", 0.4, 2), kernel("fusion.1", 0.2, 1, "compare select add reduce subtract exponential"))
NAIVE = (kernel("mm", 0.5, 2), kernel("softmax", 0.3), kernel("mask", 0.2), kernel("add", 0.2))


def test_the_difference_is_split_into_products_and_all_else() -> None:
    assert text(row(EAGER, *NAIVE), JIT) == (
        "Eager PyTorch takes 2.00x the time of JAX, 0.600 ms more: softmax, mask and element-wise work 0.500 ms more "
        "(0.700 ms in 3 ops; JAX 0.200 ms in 1 op, which fuses them), matrix products 0.100 ms more (0.500 ms in 2 "
        "ops; JAX 0.400 ms in 2 ops)."
    )


def test_a_part_that_explains_almost_nothing_is_not_named_and_less_is_said_to_be_less() -> None:
    fast = row(COMPILE, kernel("mm", 0.399, 2), kernel("triton_per_fused__softmax_le_where_0", 0.1))
    assert text(fast, JIT) == (
        "Compiled PyTorch takes 0.83x the time of JAX, 0.101 ms less: softmax and mask 0.100 ms less (0.100 ms in 1 "
        "op; JAX 0.200 ms in 1 op)."
    )


def test_nothing_is_explained_where_nothing_is_shown() -> None:
    same = row(EAGER, *JIT.passes["forward"].kernels, time_ms=0.6)
    assert text(replace(same, passes=JIT.passes), JIT) == "The same time, within the equivalence margin."
    undecided = tuple(6e-4 * (0.5 + at % 2) for at in range(samples.ROUNDS))  # half as long and half as long again
    noisy = replace(JIT.passes["forward"], device_s=undecided, per_round=1)
    steady = replace(noisy, device_s=(6e-4,) * samples.ROUNDS)
    one, reference = (replace(each, passes={"forward": result}) for each, result in ((same, noisy), (JIT, steady)))
    assert "No significant difference" in text(one, reference)


def test_what_runs_in_one_kernel_on_one_side_is_not_split() -> None:
    whole = row(
        JAX, kernel("ynn_fusion", 0.5, 1, "dot add reduce subtract exponential dot"), kernel("copy", 0.1, 1, "copy")
    )
    assert text(row(EAGER, *NAIVE), whole) == (
        "Eager PyTorch takes 2.00x the time of JAX: eager PyTorch runs matrix products (0.500 ms in 2 ops) and "
        "softmax, mask and element-wise work (0.700 ms in 3 ops); JAX runs all of attention (0.500 ms in 1 op) and "
        "copies (0.100 ms in 1 op)."
    )
    half = row(JAX, kernel("ynn_fusion", 0.4, 1, "dot add reduce subtract exponential"), kernel("dot", 0.2))
    assert "JAX runs matrix products and softmax together (0.400 ms in 1 op) and matrix products alone" in text(
        row(EAGER, *NAIVE), half
    )


def test_ops_whose_names_do_not_tell_leave_the_rest_unsaid() -> None:
    unknown = row(JAX, kernel("ynn_fusion", 0.3), kernel("dot", 0.3))
    assert text(row(EAGER, *NAIVE), unknown).endswith(
        "; 50% of JAX's time is in ops whose names do not say what they compute."
    )


def test_times_that_stand_twice_are_not_added_up() -> None:
    nested = row(EAGER, *NAIVE, kernel("aten::matmul", 0.5, 2), time_ms=1.2)
    assert text(nested, JIT).endswith(
        "eager PyTorch's ops nest or run side by side, so their times cannot be added up."
    )


def test_an_iteration_far_from_its_median_explains_no_small_difference() -> None:
    far = row(EAGER, kernel("mm", 0.36, 2), kernel("softmax", 0.2), time_ms=0.62)
    assert "scatter by more than the difference" in text(far, JIT)


def test_a_pass_whose_kernels_nobody_recorded_has_no_reason() -> None:
    empty = row(EAGER, time_ms=1.2)
    assert reasons.lines(empty.passes["forward"]) == []
    assert text(empty, JIT).endswith("what ran was not recorded.")


def test_shares_are_applied_to_the_median() -> None:
    found = reasons.lines(row(EAGER, kernel("mm", 0.5, 2), kernel("softmax", 0.5), time_ms=2.0).passes["forward"])
    assert [(line.name, line.count, line.share, line.kinds) for line in found] == [
        ("aten::bmm", 2, 0.5, ("matmul",)),
        ("aten::_softmax", 1, 0.5, ("softmax",)),
    ]
    assert [line.device_s for line in found] == pytest.approx([1e-3, 1e-3])


def test_names_are_told_apart() -> None:
    again = replace(EAGER, entrant=2)
    assert text(row(again, *NAIVE), row(EAGER, kernel("mm", 0.6))).startswith(
        "torch:naive:eager#2 takes 2.00x the time of torch:naive:eager, 0.600 ms more"
    )
    flash = replace(EAGER, variant="flash")
    assert "Eager PyTorch (flash) takes 2.00x the time of JAX (naive)" in text(row(flash, *NAIVE), JIT)


def test_the_page_has_a_sentence_for_every_pair_and_the_kernels_folded_away() -> None:
    shown = part([JIT, row(EAGER, *NAIVE)], "Why times differ")
    assert (
        "| **`torch:naive:eager`** | forward | Eager PyTorch takes 2.00x the time of JAX, 0.600 ms more: softmax"
        in shown
    )
    assert "<details>\n<summary>B=4 T=1024 N=1 H=64 full float32 ieee: forward</summary>" in shown
    assert "| **matmul** | `jax:naive:jit` | `dot` | 2 | 0.400 | 67% |" in shown
    assert "|  | `torch:naive:eager` | `aten::bmm` | 2 | 0.500 | 42% |" in shown
    assert "| **softmax** | `jax:naive:jit` | `fusion.1` (also mask) | 1 | 0.200 | 33% |" in shown
    assert "|  | `torch:naive:eager` | `aten::_softmax` | 1 | 0.300 | 25% |" in shown
    assert "## Why" not in page([samples.skip(problem())])


def test_what_takes_next_to_nothing_is_left_out_of_the_table() -> None:
    shown = part([JIT, row(EAGER, *NAIVE, kernel("aten::view", 0.005, 9))], "Why times differ")
    assert "aten::view" not in shown


def explained(rows: list[Row], run: Run, width: int) -> str:
    console = Console(width=width, file=(out := StringIO()), force_terminal=False)
    terminal.show(reasons.sections(run, rows), console, folded=True)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_terminal_shows_all_of_it_in_the_room_there_is(width: int) -> None:
    run, rows = store.read(H200)
    some = [each for each in rows if each.problem == rows[0].problem]
    shown = explained(some, run, width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    flat = "".join(explained(some, run, 1000).split())
    for each in reasons.reasons(some, 0.01, "kernel"):
        assert "".join(f"{each.compared.pass_name}{each.text}".split()) in flat
    for word in flat_words(some):
        assert word in "".join(shown.split()) or width < 160


def flat_words(rows: list[Row]) -> set[str]:
    """The names of the contenders and the first words of each sentence."""
    found = reasons.reasons(rows, 0.01, "kernel")
    return {each.compared.contender.name for each in found} | {"".join(each.text.split()[:4]) for each in found}


def test_a_sentence_stands_once_for_each_contender_behind_the_passes_that_it_is_about() -> None:
    same = [samples.measurement(samples.problem(), contender) for contender in (JAX, EAGER, COMPILE)]
    found = reasons.reasons(same, 0.01, "op")
    assert len(found) == 6
    passes = "forward, backward, step"
    assert reasons.reason_lines(found) == [
        [f"`{contender.name}`", passes, "The same time, within the equivalence margin."]
        for contender in (EAGER, COMPILE)
    ]


def test_results_without_contents_still_load() -> None:
    _, rows = store.read(H200)
    found: list[PassResult] = [result for row in rows if isinstance(row, Measurement) for result in row.passes.values()]
    assert {kernel.contents for result in found for kernel in result.kernels} == {()}
