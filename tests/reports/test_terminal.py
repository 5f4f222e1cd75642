"""What the terminal says about synthetic rows: every number here was worked out by hand or by the records."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from compare.analysis import circumstances
from compare.analysis import text as fmt
from compare.analysis.columns import marks_of
from compare.machine.load import BUSY_MACHINE
from compare.profile.kinds import NOT_NAIVE
from compare.schema.records import RESIDENT, Notice, Row
from compare.stats.estimates import Estimate
from tests import samples
from tests.reports.rendered import LONG, page, pair, part, printed, table_text
from tests.samples import COMPILE, EAGER, JAX, measurement, problem


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
    heads = {"Contender", "Result", "Saved", "Pass", "Device", "Ratio", "Verdict", "Peak"}
    assert heads | {"forward", "backward", "step", "FASTER", "0.81x", "1.00", "0.810"} <= words


def test_wide_table_adds_wall_kernels_peaks_and_errors() -> None:
    narrow, wide = table_text(pair()), table_text(pair(), 160, device="gpu")
    assert "Kernels" not in table_text(pair(), 160)  # a CPU's ops nest: their number compares with nothing
    for word in ("Wall", "Kernels", "3.1e-07", "2.0e-06"):
        assert word in wide
        assert word not in narrow
    assert len(re.findall(r" 3$", wide, re.MULTILINE)) == 6  # kernels of each pass of both contenders
    assert re.findall(r" (\d+\.\d)$", narrow, re.MULTILINE) == ["17.8", "16.8", "33.6"] * 2  # the peak of each pass


def test_the_table_says_what_the_ratio_means() -> None:
    text = " ".join(table_text(pair()).split())
    assert "time / time of the reference (ref), which is jax:naive:jit; below 1 is faster" in text
    assert text.count("0.81x ±0.0%") == 3


def test_long_names_break_after_a_colon() -> None:
    text = table_text([measurement(problem(), LONG), measurement(problem(), JAX)])
    assert "torch:checkpoint: " in text
    assert re.search(r"^compile +backward\b", text, re.MULTILINE)  # beside the next pass
    assert fmt.broken("jax:dir/my_attention.py:attention:jit", 19) == "jax:dir/\nmy_attention.py:\nattention:jit"


def test_times_of_a_few_microseconds_stay_on_one_line() -> None:
    assert "0.00434 ±0.0%" in table_text([measurement(problem(), time_s=4.34e-6)])
    assert "0.00434±0.0%" in table_text([*pair(), measurement(problem(), LONG, time_s=4.34e-6)])  # where room is short


def test_why_there_is_no_verdict_is_said_at_once() -> None:
    busy = Notice(code=BUSY_MACHINE, text="other processes used 60% of the CPUs meanwhile; end them and rerun")
    text = table_text(pair(warnings=(busy, Notice(code="other-load", text="another"))))
    assert f"No verdicts: {busy.text}." in " ".join(text.split())
    assert "another" not in text


def test_reasons_stand_below_the_table_with_their_sizes() -> None:
    text = " ".join(table_text([measurement(problem()), samples.out_of_memory(problem())]).split())
    assert "torch:naive:eager OOM in backward: CUDA out of memory." in text
    assert "would need 48.0 GB, refused allocation 17.2 GB, device has 16.0 GB" in text
    raised = replace(samples.out_of_memory(problem()), status="ERROR", reason="no such luck")
    assert table_text([raised]).rstrip().endswith("no such luck")


def test_every_row_has_its_line_with_or_without_numbers() -> None:
    rows = [measurement(problem()), samples.out_of_memory(problem()), samples.skip(problem())]
    expected = ["jax:naive:jit", "ok", "torch:naive:eager", "OOM", "torch:naive:compile", "skip"]
    named = re.findall(r"^(\S+:\S+) +(ok|OOM|skip) .* (?:forward|–) ", table_text(rows), re.MULTILINE)
    assert [word for line in named for word in line] == expected
    named = re.findall(r"^\| `(\S+)` \| (\w+) \|", part(rows, "Side by side"), re.MULTILINE)
    assert [word for line in named for word in line] == expected


@pytest.mark.parametrize("other", [{"agreement": samples.agreement(False)}, {"alone": True}])
def test_no_ratio_where_it_would_not_be_fair(other: dict[str, Any]) -> None:
    rows = pair(**other)
    assert table_text(rows).count("no ratio") == 3
    assert "0.81x" not in table_text(rows)
    assert "no ratio" in part(rows, "Side by side")
    assert "0.81x" not in page(rows)


def test_the_reference_is_the_first_row_that_agrees() -> None:
    rows = [measurement(problem(), agreement=samples.agreement(False)), *three(1e-3)[1:]]
    assert "reference (ref), which is torch:naive:eager" in " ".join(table_text(rows).split())
    assert "which is `torch:naive:eager`" in page(rows)


def three(time_s: float) -> list[Row]:
    """Three contenders that are equally fast."""
    return [measurement(problem(), contender, time_s) for contender in (JAX, EAGER, COMPILE)]


def test_a_lone_contender_has_no_reference() -> None:
    assert "ref" not in table_text([measurement(problem())]).split()
    assert "There is no ratio" in page([measurement(problem())])


def test_the_result_is_seen_however_long_a_name_is() -> None:
    own = replace(EAGER, variant="some/where/my_kernels_of_today.py:attention_with_a_long_name", release="2.11.0+cu130")
    lines = table_text([measurement(problem(), JAX), measurement(problem(), own, 123.4)]).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(bool(re.search(r" ok +16\.8 forward ", line)) for line in lines) == 2


def test_hostile_text_has_no_power_over_the_terminal() -> None:
    rows: list[Row] = [measurement(problem()), samples.skip(problem(), reason="[red]a[/] \x1b[2J\n" + "long " * 60)]
    text = printed(rows, 80)
    assert "[red]a[/]" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_row_that_is_not_naive_still_counts_its_other_warnings() -> None:
    notes = (Notice(code=NOT_NAIVE, text="fused"), Notice(code="drift", text="moved"))
    row = measurement(problem(), warnings=notes)
    assert marks_of(row) == ["not naive", "1 warning"]
    assert marks_of(measurement(problem(), warnings=notes[:1])) == ["not naive"]
    assert "not naive, 1 warning" in " ".join(table_text([row]).split())


def test_a_peak_by_resident_growth_is_marked_and_explained() -> None:
    grown = replace(samples.pass_result(1e-3, 5 * 10**6), peak_source=RESIDENT)
    counted = samples.pass_result(1e-3, 4 * 10**6)
    assert (circumstances.peak([counted]), circumstances.peak([counted, grown]), circumstances.peak([])) == (
        "4.0",
        "≈5.0",
        "–",
    )
    row = measurement(problem())
    marked = replace(row, passes={"forward": grown})
    assert "≈: resident growth" in " ".join(circumstances.timing_notes([row, marked], 0.01))
    assert "≈" not in " ".join(circumstances.timing_notes([row], 0.01))


def test_warnings_are_gathered_by_text() -> None:
    noted = Notice(code="fused", text="not naive")
    rows = [measurement(problem(n), COMPILE, warnings=(noted,)) for n in (256, 512)]
    where = "B=4 T=256 N=1 H=64 full float32 ieee; B=4 T=512 N=1 H=64 full float32 ieee"
    assert f"not naive [fused; torch:naive:compile; {where}]" in " ".join(printed(rows, 80).split())
    assert part(rows, "Warnings").count("not naive") == 1


def test_a_typed_warning_has_its_sentence_in_both_reports() -> None:
    noted = Notice(code="drift", pass_name="forward", numbers={"change": 0.07})
    rows = [measurement(problem(), COMPILE, warnings=(noted,))]
    said = "forward: device time drifted by +7% from the first rounds to the last"
    assert said in " ".join(printed(rows, 80).split())
    assert said in part(rows, "Warnings")


def test_wrong_numbers_are_told_with_what_is_allowed() -> None:
    wrong = samples.measurement(samples.problem(), agreement=samples.agreement(agrees=False))
    text = " ".join(printed([wrong], 160).split())
    assert "Numeric agreement • WRONG jax:naive:jit: out off by 4.2e-03 (allowed 2.0e-06), rms 5.2e-04" in text
    assert "(2.5e-07); dq off by" in text
