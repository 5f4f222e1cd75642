"""What each remedy did, by hand; and that checkpointing really keeps less, in both frameworks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from compare.analysis import solutions
from compare.render import markdown
from compare.schema.records import Case, Contender, Measurement, PassName, Problem
from compare.stats import estimates
from compare.worker import session as weighing
from compare.worker.session import Session
from tests import samples
from tests.samples import EAGER, JAX, measurement, pass_result, problem

CAUSAL = problem(1024, mask="causal")


def of(variant: str, backend: str = "jax", mode: str = "jit") -> Contender:
    return Contender(backend=backend, variant=variant, mode=mode)


def solved(*rows: Measurement) -> dict[tuple[str, str, str], solutions.Solution]:
    found = solutions.solutions(rows)
    return {(each.row.contender.name, each.row.problem.mask, each.row.problem.dtype): each for each in found}


def test_a_contender_of_the_same_problem_is_compared_within_rounds() -> None:
    base = measurement(CAUSAL, JAX, 4e-3, jitter=0.5)
    half = {name: replace(each, device_s=tuple(s / 2 for s in each.device_s)) for name, each in base.passes.items()}
    fast = replace(base, contender=of("fused"), passes=half, saved_bytes=base.saved_bytes and base.saved_bytes // 10)
    found = solved(base, fast)["jax:fused:jit", "causal", "float32"]
    assert (found.names, found.function, found.paired) == (("FlashAttention",), "the same", True)
    assert found.times["step"].median == pytest.approx(0.5)
    assert found.times["step"].half_width < 1e-9  # noise that both share cancels
    assert found.saved == pytest.approx(0.1)
    assert found.peak == 1.0


def test_another_dtype_is_another_problem_and_its_ratio_has_both_intervals() -> None:
    base = measurement(CAUSAL, JAX, 4e-3, jitter=0.2)
    narrow = measurement(replace(CAUSAL, dtype="bfloat16", matmul_precision="default"), JAX, 2e-3, jitter=0.2)
    found = solved(base, narrow)["jax:naive:jit", "causal", "bfloat16"]
    assert (found.names, found.function, found.paired) == (("mixed precision",), "a rounding", False)
    alone = estimates.device_time(narrow.passes["step"])
    assert found.times["step"].median == pytest.approx(0.5, rel=0.1)
    assert found.times["step"].half_width > alone.half_width
    assert solutions.time(found, "step").endswith("*")


def test_a_sparse_variant_is_another_function_against_dense_causal_attention() -> None:
    masked = replace(CAUSAL, mask="window:64")
    rows = (measurement(CAUSAL), measurement(masked), measurement(masked, of("window"), 1e-4))
    found = solved(*rows)
    assert set(found) == {("jax:window:jit", "window:64", "float32")}  # the dense one under the mask is no remedy
    [only] = found.values()
    assert (only.function, only.base.problem, only.names) == ("another", CAUSAL, ("sparse attention",))
    assert only.times["forward"].median == pytest.approx(0.1, rel=0.01)


def test_a_base_is_of_the_same_framework_sizes_and_if_it_can_be_mode() -> None:
    eager, compiled = of("naive", "torch", "eager"), of("naive", "torch", "compile")
    rows = [measurement(CAUSAL, each) for each in (JAX, eager, compiled)]
    rows += [measurement(CAUSAL, of("fused", "torch", mode)) for mode in ("compile", "graph")]
    rows += [measurement(replace(CAUSAL, q_len=512, kv_len=512), of("fused", "torch", "eager"))]
    found = solutions.solutions(rows)
    assert [each.base.contender for each in found] == [compiled, eager]


def test_a_base_has_the_same_arithmetic_and_peaks_are_weighed_in_one_way() -> None:
    fast = replace(CAUSAL, matmul_precision="tf32")
    rows = [measurement(CAUSAL), measurement(fast), measurement(fast, of("fused"))]
    assert [each.base.problem for each in solutions.solutions(rows)] == [fast]
    grown = {name: replace(each, peak_source="growth", buffer_bytes=10**6) for name, each in rows[0].passes.items()}
    planned = {name: replace(each, peak_source="plan", buffer_bytes=10**5) for name, each in rows[0].passes.items()}
    [found] = solutions.solutions(
        [replace(rows[0], passes=grown), replace(rows[0], contender=of("fused"), passes=planned)]
    )
    assert found.peak == pytest.approx(0.1)
    [found] = solutions.solutions([replace(rows[0], passes=grown), measurement(CAUSAL, of("fused"))])
    assert found.peak is None


def test_under_a_sparse_mask_only_what_does_not_hold_all_scores_is_a_way_out() -> None:
    masked = replace(CAUSAL, mask="window:64", dtype="bfloat16", matmul_precision="default")
    names = ["naive", "naive_lean", "checkpoint", "fused_xla", "fused_chunked"]
    flash = replace(EAGER, variant="fused_flash")
    rows = [measurement(CAUSAL), measurement(CAUSAL, EAGER), measurement(masked, flash)]
    rows += [measurement(masked, of(name)) for name in names]
    rows += [replace(measurement(masked, of("fused")), ran="fused_chunked")]
    found = {each.row.contender.variant: each.names for each in solutions.solutions(rows)}
    skipping = ("FlashAttention", "sparse attention", "mixed precision")
    assert found == {
        "fused_chunked": skipping,
        "fused": skipping,
        "fused_flash": ("FlashAttention", "mixed precision"),
    }
    assert solutions.solutions([measurement(CAUSAL), measurement(CAUSAL, of("fused_xla"))]) == []


def test_rows_that_disagree_are_no_solution() -> None:
    wrong = replace(measurement(CAUSAL, of("fused")), agreement=samples.agreement(agrees=False))
    assert solutions.solutions([measurement(CAUSAL), wrong]) == []


def test_the_section_is_sorted_by_what_is_short() -> None:
    slow_small = replace(
        measurement(CAUSAL, of("checkpoint"), 8e-3), passes={"step": pass_result(8e-3, 10**5)}, saved_bytes=0
    )
    fast_large = replace(measurement(CAUSAL, of("fused"), 1e-3), ran="fused_chunked")
    text = markdown.render(samples.run(), [measurement(CAUSAL, JAX, 4e-3), fast_large, slow_small])
    part = text.split("## Solutions\n", 1)[1].split("\n## ", 1)[0]
    memory, time = part.split("### Least time first")
    assert memory.index("checkpoint") < memory.index("fused")
    assert time.index("`jax:fused:jit`") < time.index("`jax:checkpoint:jit`")
    assert "ran `fused_chunked`" in part


def test_without_a_base_there_is_no_section() -> None:
    assert "## Solutions" not in markdown.render(samples.run(), [measurement(CAUSAL, of("fused"))])
    assert solutions.sections(samples.run(), [measurement(CAUSAL)]) == []


def measured_peak(backend: str, variant: str, mode: str, where: Problem) -> weighing.MemoryProfile:
    """What the backward pass and the step of one contender hold."""
    session = Session(f"{backend}_attn", "cpu", 1)
    programs = session.programs_of(Case(problem=where, contender=of(variant, backend, mode)))
    passes: tuple[PassName, ...] = ("backward", "step")
    for name in passes:
        session.run(programs, name)
    return weighing.measure_memory(session, programs, passes, where)


@pytest.mark.parametrize(("backend", "mode"), [("jax", "jit"), ("torch", "eager")])
def test_a_stack_that_checkpoints_holds_one_layers_scores(backend: str, mode: str) -> None:
    """Also the proof that XLA did not undo it: the peak of the program says so, not only what is saved."""
    where = problem(512, 16, 2, mask="causal", layers=6)
    plain, again = (measured_peak(backend, variant, mode, where) for variant in ("naive", "checkpoint"))
    matrix, layer = 2 * 512 * 512 * 4, 2 * 512 * 16 * 4
    assert plain.saved_bytes
    assert again.saved_bytes
    assert plain.saved_bytes >= 6 * matrix
    assert again.saved_bytes <= 6 * 3 * layer
    assert again.peaks["step"].peak_bytes < 0.6 * plain.peaks["step"].peak_bytes
    assert again.peaks["step"].peak_bytes < 6 * matrix <= plain.peaks["step"].peak_bytes


def test_memory_that_was_not_measured_gives_no_ratio() -> None:
    [found] = solutions.solutions(
        [measurement(CAUSAL), replace(measurement(CAUSAL), contender=of("fused"), saved_bytes=None)]
    )
    assert found.saved is None
    assert solutions.share(found.saved) == "–"


def test_16_bits_are_held_against_ieee_float32_or_against_what_was_measured() -> None:
    """The H100's float32 rows may all be TF32: its 16-bit rows had no base at all once."""
    ieee, fast = CAUSAL, replace(CAUSAL, matmul_precision="tf32")
    narrow = measurement(replace(CAUSAL, dtype="bfloat16", matmul_precision="default"))
    for rows, base in (((ieee, fast), ieee), ((fast, ieee), ieee), ((fast,), fast)):
        [found] = solutions.solutions([*map(measurement, rows), narrow])
        assert found.base.problem == base
        assert solutions.bases([found]) == f"naive float32 {base.matmul_precision}"
