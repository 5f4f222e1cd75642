"""What the tree says of every committed results file is what it said when the golden tables were kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import golden

NUMBERS = {"device_s": "0.25", "ratio": "1.5", "verdict": "SLOWER"}


@pytest.mark.parametrize("study", golden.studies())
def test_every_number_is_what_it_was(study: str, tmp_path: Path) -> None:
    found = golden.differences(golden.read(golden.kept(study)), golden.read(golden.write(study, tmp_path)))
    assert not found, "\n".join(found[:20])


def test_every_golden_table_belongs_to_a_study() -> None:
    tables = {file.name for file in golden.HERE.glob("*.csv")}
    assert tables == {golden.kept(study).name for study in golden.studies()}


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ([NUMBERS], []),
        ([NUMBERS | {"another": "1"}], []),
        ([NUMBERS | {"device_s": "0.25000000000000006"}], []),
        ([NUMBERS | {"device_s": "0.2500001"}], ["line 2, device_s: '0.25' became '0.2500001'"]),
        ([NUMBERS | {"verdict": "FASTER"}], ["line 2, verdict: 'SLOWER' became 'FASTER'"]),
        ([{"device_s": "0.25", "ratio": "1.5"}], ["line 2, verdict: 'SLOWER' became None"]),
        ([NUMBERS | {"ratio": ""}], ["line 2, ratio: '1.5' became ''"]),
        ([], ["1 lines became 0"]),
        ([NUMBERS, NUMBERS], ["1 lines became 2"]),
    ],
)
def test_a_difference_is_found(now: golden.Lines, found: list[str]) -> None:
    assert golden.differences([NUMBERS], now) == found
