"""What the reports say about synthetic rows: every number asserted here was worked out by hand or by the records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from compare import gather, prediction
from compare.analysis import limits, seed_memory, spreads
from compare.growth import AXES, growth, growth_word
from compare.records import Contender, Failure, Measurement, Notice, Row, Run
from compare.report import format as fmt
from compare.report import markdown, terminal
from compare.report.markdown_text import code, escape
from compare.summary import Estimate
from tests import samples
from tests.samples import COMPILE, EAGER, JAX, measurement, problem

LONG = Contender(backend="torch", variant="checkpoint", mode="compile")
HOSTILE = "a|b\n`c` <script>alert(1)</script> [x](y) *z* \x1b[31mred"


def printed(rows: Sequence[Row], width: int, run: Run | None = None) -> str:
    """The terminal report as plain text."""
    console = Console(width=width, file=(out := StringIO()), force_terminal=False)
    terminal.render(run or samples.run(), rows, console)
    return out.getvalue()


def table_text(rows: Sequence[Row], width: int = 80, **settings: Any) -> str:
    """One problem's table as plain text."""
    console = Console(width=width, file=(out := StringIO()), force_terminal=False)
    console.print(terminal.problem_table(rows, width, replace(samples.run().settings, **settings)))
    return out.getvalue()


def page(rows: Sequence[Row]) -> str:
    """The Markdown report."""
    return markdown.render(samples.run(), rows)


def part(rows: Sequence[Row], title: str) -> str:
    """One section of the Markdown report, without its heading."""
    return page(rows).split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def pair(**other: Any) -> list[Row]:
    """A reference of 1 ms and a row of 0.81 ms."""
    return [measurement(problem()), measurement(problem(), EAGER, 0.81e-3, **other)]


# ------------------------------------------------------------------------------------------------------ formatting


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(0.1071, "107"), (4.764e-3, "4.76"), (0.37e-3, "0.370"), (12.34e-6, "0.0123"), (9.999e-3, "10.0"), (2.5, "2500")],
)
def test_ms_has_three_significant_digits(time_s: float, text: str) -> None:
    assert fmt.ms(time_s) == text


@pytest.mark.parametrize(
    ("half", "text"), [(0.004, "±0.4%"), (0.12, "±12%"), (0.0996, "±10%"), (30.0, "±>99%"), (float("inf"), "±?")]
)
def test_interval(half: float, text: str) -> None:
    assert fmt.interval(Estimate(1.0, 1.0 - min(half, 1.0), 1.0 + half, 9)) == text


def test_sizes_and_ratios() -> None:
    assert [fmt.megabytes(n) for n in (None, 0, 30_000, 17_825_792)] == ["–", "0.0", "0.03", "17.8"]
    assert fmt.megabytes(16 * 10**9) == "16000"
    assert [fmt.size(n) for n in (17_825_792, 16 * 10**9)] == ["17.8 MB", "16.0 GB"]
    assert [fmt.times(r) for r in (0.81, 12.345, 0.0421, 250.0)] == ["0.81x", "12.3x", "0.042x", "250x"]
    assert fmt.duration(3.2e-5) == "32.0 µs"


# -------------------------------------------------------------------------------------------------------- terminal


@pytest.mark.parametrize("width", [80, 160])
def test_every_line_fits_and_nothing_is_cut(width: int) -> None:
    text = printed(samples.nine_problems(), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for whole in ("jax:naive:jit", "torch:naive:eager", "torch:naive:compile", "WRONG", "OOM", "skip", "no ratio"):
        assert whole in text


@pytest.mark.parametrize("width", [80, 160])
def test_heading_words_and_numbers_are_whole(width: int) -> None:
    words = set(table_text(pair(), width).split())
    assert {"contender", "forward", "backward", "step", "peak", "saved", "result", "0.81x", "1.00", "0.810"} <= words


def test_wide_table_adds_wall_kernels_peaks_and_errors() -> None:
    narrow, wide = table_text(pair()), table_text(pair(), 160, device="gpu")
    assert "3 kernels" not in table_text(pair(), 160)  # a CPU's ops nest: their number compares with nothing
    for word in ("wall ms", "3 kernels", "3.1e-07", "2.0e-06"):
        assert word in wide
        assert word not in narrow
    assert wide.count("peak") == 3


def test_the_table_says_what_the_ratio_means() -> None:
    text = " ".join(table_text(pair()).split())
    assert "time / time of the reference (ref), jax:naive:jit; below 1 is faster" in text
    assert text.count("0.81x ±0.0%") == 3


def test_long_names_break_after_a_colon() -> None:
    text = table_text([measurement(problem(), LONG), measurement(problem(), JAX)])
    assert "torch:checkpoint:" in text
    assert re.search(r"^compile\b", text, re.MULTILINE)
    assert fmt.broken("jax:dir/my_attention.py:attention:jit", 19) == "jax:dir/\nmy_attention.py:\nattention:jit"


def test_times_of_a_few_microseconds_stay_on_one_line() -> None:
    """The widest that a 12-column cell must hold is such a time."""
    assert "0.00434±0.0%" in table_text([measurement(problem(), time_s=4.34e-6)])


def test_reasons_stand_below_the_table_with_their_sizes() -> None:
    text = " ".join(table_text([measurement(problem()), samples.out_of_memory(problem())]).split())
    assert "torch:naive:eager OOM in backward: CUDA out of memory." in text
    assert "would need 48.0 GB, refused allocation 17.2 GB, device has 16.0 GB" in text


@pytest.mark.parametrize("other", [{"agreement": samples.agreement(False)}, {"alone": True}])
def test_no_ratio_where_it_would_not_be_fair(other: dict[str, Any]) -> None:
    rows = pair(**other)
    assert table_text(rows).count("no ratio") == 3
    assert "0.81x" not in table_text(rows)
    assert "no ratio" in part(rows, "Side by side")
    assert "0.81x" not in page(rows)


def test_the_reference_is_the_first_row_that_agrees() -> None:
    rows = [measurement(problem(), agreement=samples.agreement(False)), *three(1e-3)[1:]]
    assert "reference (ref), torch:naive:eager" in " ".join(table_text(rows).split())
    assert "which is `torch:naive:eager`" in page(rows)


def three(time_s: float) -> list[Row]:
    """Three contenders that are equally fast."""
    return [measurement(problem(), contender, time_s) for contender in (JAX, EAGER, COMPILE)]


def test_a_lone_contender_has_no_reference() -> None:
    assert "ref" not in table_text([measurement(problem())]).split()
    assert "There is no ratio" in page([measurement(problem())])


def test_hostile_text_has_no_power_over_the_terminal() -> None:
    rows: list[Row] = [measurement(problem()), samples.skip(problem(), reason="[red]a[/] \x1b[2J\n" + "long " * 60)]
    text = printed(rows, 80)
    assert "[red]a[/]" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_warnings_are_gathered_by_text() -> None:
    noted = Notice(code="fused", text="not naive")
    rows = [measurement(problem(n), COMPILE, warnings=(noted,)) for n in (256, 512)]
    where = "B=4 T=256 N=1 H=64 full float32 ieee; B=4 T=512 N=1 H=64 full float32 ieee"
    assert f"not naive [fused; torch:naive:compile; {where}]" in " ".join(printed(rows, 80).split())
    assert part(rows, "Warnings").count("not naive") == 1


# -------------------------------------------------------------------------------------------------------- analysis


def memory_rows() -> list[Row]:
    """Peaks exactly quadratic in seq_len, linear in batch, constant in d_model; saved linear in all three."""
    return [
        measurement(problem(seq_len, head_dim, batch), passes=("forward",), saved_bytes=24 * seq_len * head_dim * batch)
        for seq_len in (256, 512, 1024)
        for head_dim in (16, 64)
        for batch in (1, 4)
    ]


def test_exponents_are_recovered() -> None:
    rows = [row for row in memory_rows() if isinstance(row, Measurement)]
    for axis in AXES:
        fit = growth(JAX, "saved", axis, rows)
        assert fit.exponent == pytest.approx(1.0)
        assert fit.local == pytest.approx(1.0)
        assert fit.points == 12
    assert growth(JAX, "saved", "seq_len", rows).between == (512, 1024)
    quadratic = [measurement(problem(n, 0), passes=("backward",)) for n in (256, 512, 1024)]
    assert growth(JAX, "backward peak", "seq_len", quadratic).exponent == pytest.approx(2.0)
    assert growth(JAX, "forward peak", "seq_len", quadratic).exponent is None


def test_the_local_exponent_is_nearer_to_the_quadratic_term() -> None:
    rows = [measurement(problem(n, 64)) for n in (64, 256, 1024, 4096)]
    fit = growth(JAX, "forward peak", "seq_len", rows)
    assert fit.exponent is not None
    assert fit.local is not None
    assert fit.exponent < fit.local < 2.0


def test_groups_that_differ_otherwise_do_not_bend_the_slope() -> None:
    rows = [measurement(problem(n, 64, batch)) for n, batch in ((256, 1), (512, 1), (512, 16), (1024, 16), (2048, 3))]
    fit = growth(JAX, "saved", "seq_len", rows)
    assert fit.exponent == pytest.approx(2.0)
    assert fit.points == 4


def test_two_ways_of_weighing_make_no_common_curve() -> None:
    """On a CPU small JAX cases are weighed by buffer assignment and large ones by resident growth."""
    rows = [measurement(problem(n), JAX) for n in (256, 512, 1024, 2048)]
    mixed = rows[:2] + [weighed_otherwise(row, 10) for row in rows[2:]]
    assert growth(JAX, "backward peak", "seq_len", mixed).exponent == pytest.approx(2.0)
    assert growth(JAX, "backward peak", "seq_len", mixed[1:3]).exponent is None


def weighed_otherwise(row: Measurement, factor: int) -> Measurement:
    passes = {
        name: replace(each, peak_bytes=each.peak_bytes * factor, peak_source="another")
        for name, each in row.passes.items()
    }
    return replace(row, passes=passes)


def test_one_value_gives_no_exponent() -> None:
    fit = growth(JAX, "saved", "batch", [measurement(problem(n)) for n in (256, 512)])
    assert (fit.exponent, fit.local, fit.points) == (None, None, 0)


@pytest.mark.parametrize(
    ("exponent", "word"),
    [(1.9, "quadratic"), (1.5, "between linear and quadratic"), (1.1, "linear"), (-0.1, "constant"), (-0.8, "falling")],
)
def test_words_follow_the_exponent(exponent: float, word: str) -> None:
    assert growth_word(exponent) == word


def test_the_report_says_quadratic_only_where_it_was_measured() -> None:
    assert "saved quadratic (2.00)" in part([measurement(problem(n)) for n in (256, 512)], "Memory analysis")
    linear = [measurement(problem(n), passes=("forward",), saved_bytes=n * 100) for n in (256, 512)]
    assert "saved linear (1.00)" in part(linear, "Memory analysis")
    assert "saved quadratic" not in part(linear, "Memory analysis")


def test_spread_is_over_agreeing_rows_and_has_a_median() -> None:
    rows: list[Row] = [measurement(problem(n), time_s=t) for n, t in ((256, 1e-3), (512, 2e-3), (1024, 9e-3))]
    rows.append(measurement(problem(2048), time_s=1e-9, agreement=samples.agreement(False)))
    forward = spreads(rows)[0]
    assert (forward.fastest_s, forward.median_s, forward.slowest_s) == pytest.approx((1e-3, 2e-3, 9e-3))
    assert forward.problems == 3
    assert forward.slowest == problem(1024)


def test_no_report_prints_a_mean() -> None:
    for text in (page(samples.nine_problems()), printed(samples.nine_problems(), 160)):
        assert not re.search(r"\bmean\b|\baverage time|\bavg\b", text, re.IGNORECASE)


def test_limits_name_the_smallest_misfit_and_its_sizes() -> None:
    rows: list[Row] = [measurement(problem(1024), EAGER), samples.out_of_memory(problem(16384))]
    rows += [samples.out_of_memory(problem(8192)), samples.skip(problem(64))]
    (limit,) = limits(rows)
    assert (limit.row.problem, limit.largest_fitting) == (problem(8192), problem(1024))
    assert (limit.predicted_bytes, limit.refused_bytes, limit.device_bytes) == (48 * 10**9, 16 * 2**30, 16 * 10**9)


def test_a_skip_for_memory_is_a_limit() -> None:
    (limit,) = limits([samples.skip(problem(), predicted_bytes=5, available_bytes=4)])
    assert (limit.predicted_bytes, limit.device_bytes, limit.largest_fitting) == (5, 4, None)


def test_no_out_of_memory_is_said_plainly() -> None:
    assert "Nothing ran out of memory" in part(pair(), "Out-of-memory analysis")


# -------------------------------------------------------------------------------------------------------- markdown


def test_the_seed_table_has_the_seed_columns_and_numbers() -> None:
    text = part([measurement(problem(1024, 64), time_s=4.76e-3)], "Detailed results")
    seed = "| d_model | seq_len | batch_size | Forward (ms) | Backward (ms) | Forward Memory (MB) | "
    assert seed + "Backward Memory (MB) | Attention Matrix (MB) | Status |" in text
    assert "| 64 | 1024 | 4 | 4.76 ±0.0% | 5.24 ±0.0% | 21.0 | 38.8 | 16.8 | ✅ OK | 21.0 | 37.7 |" in text


def test_seed_memory_sums_what_was_held() -> None:
    row = measurement(problem(1024, 64))
    memory, score, held = seed_memory(row), prediction.score_bytes(row.problem), row.input_bytes + 2 * row.output_bytes
    assert memory.forward == memory.formula_forward == row.input_bytes + score + row.output_bytes
    assert memory.backward == held + 2 * score
    assert seed_memory(samples.skip(problem())).forward is None


def test_the_markdown_tables_are_even_under_hostile_text() -> None:
    rows: list[Row] = [
        measurement(problem(), Contender(backend="jax", variant="f|`g`.py:h", mode="jit")),
        samples.skip(problem(), reason=HOSTILE),
        Failure(problem=problem(), contender=EAGER, status="ERROR", stage="comp|ile", reason=HOSTILE),
    ]
    text = page(rows)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "[x](y)" not in text
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_escape_and_code() -> None:
    assert escape("a|b\n<c> `d` \\") == r"a\|b &lt;c&gt; \`d\` \\"
    assert (code("jax:naive:jit"), code("a|`b`")) == ("`jax:naive:jit`", r"<code>a\|\`b\`</code>")


def test_sections_are_in_order() -> None:
    titles = re.findall(r"^## (.*)$", page(samples.nine_problems()), re.MULTILINE)
    assert titles == [
        "Side by side",
        "Verdicts",
        "Detailed results",
        "Memory analysis",
        "Performance summary",
        "Out-of-memory analysis",
        "Numeric agreement",
        "What was and was not timed",
        "Wall time beside device time",
        "Costs before the first sample",
        "Warnings",
        "Skipped and failed",
    ]


def test_side_by_side_divides_only_where_it_gathers() -> None:
    alike = [measurement(problem(n)) for n in (256, 512)]
    apart = [measurement(problem(256)), measurement(problem(512, mask="causal"))]
    assert "### full float32 ieee, B=4" in part(alike, "Side by side")
    assert "###" not in part(apart, "Side by side")
    assert "causal" in part(apart, "Side by side")


def test_numeric_agreement_shows_the_worst_row() -> None:
    bad = samples.agreement(False)
    rows: list[Row] = [measurement(problem(256)), measurement(problem(512), agreement=bad)]
    assert {worst.max_error for worst in gather.worst_errors(rows)} == {4.2e-3}
    text = part(rows, "Numeric agreement")
    assert "| `jax:naive:jit` | dq | 4.2e-03 | 2.0e-06 | 5.2e-04 | 2.5e-07 | WRONG |" in text
    assert "| `jax:naive:jit` | 2 | 1 | 8 of 8 | `torch:naive:eager` | 4.2e-03 | 4.0e-06 |" in text


# ----------------------------------------------------------------------------------------------------- sparse rows


SPARSE: dict[str, list[Row]] = {
    "nothing": [],
    "no measurement": [samples.skip(problem()), samples.out_of_memory(problem())],
    "one pass": [measurement(problem(n), c, passes=("forward",)) for n in (256, 512) for c in (JAX, EAGER)],
    "saved unknown": [measurement(problem(n), c, saved_bytes=None) for n in (256, 512) for c in (JAX, EAGER)],
    "not checked": pair(agreement=None),
    "no costs": pair(costs={}),
    "zero memory": pair(saved_bytes=0),
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("width", [80, 160])
def test_sparse_rows_are_reported(name: str, width: int) -> None:
    text = printed(SPARSE[name], width)
    assert max(map(len, text.splitlines())) <= width
    assert page(SPARSE[name]).endswith("\n")


def test_one_pass_has_one_column() -> None:
    text = table_text(SPARSE["one pass"], passes=("forward",))
    assert "forward" in text
    assert "backward" not in text
    assert "step" not in text
    assert "| 64 | 256 | 4 | 1.00 ±0.0% | – | 2.1 | – | 1.0 |" in page(SPARSE["one pass"])


def test_unknown_saved_bytes_are_a_dash() -> None:
    assert "| 2.1 | – | 1.0 | ✅ OK |" in page(SPARSE["saved unknown"])
    assert "saved" not in part(SPARSE["saved unknown"], "Memory analysis")


def test_nothing_measured_is_said() -> None:
    assert "Nothing was measured." in printed([], 80)
    assert "Nothing was measured." in page([])
