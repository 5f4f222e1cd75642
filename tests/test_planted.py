"""The net holds: ten planted faults are found, every other one can still be planted, and what is no find is none."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS, Fault
from tests.planted.planting import PASSED, ROOT, changed, copy_tree, passes, plant

SAMPLE = [fault for fault in FAULTS if fault.sampled]
HARMLESS = Fault(
    "nothing", "compare/schema/contract.py", "seen = j <= i\n", "seen = (j <= i)\n", "tests/test_contract.py"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("fault", SAMPLE, ids=lambda fault: fault.what)
def test_a_planted_fault_is_found(fault: Fault, tree: Path) -> None:
    outcome = plant(fault, tree)
    assert outcome.test.startswith("tests/"), outcome.reason


def test_what_breaks_nothing_is_found_by_nobody(tree: Path) -> None:
    outcome = plant(HARMLESS, tree)
    assert outcome.test == ""
    assert outcome.reason.startswith(PASSED)
    assert passes("tests/test_contract.py::test_check_names_expected_and_actual", tree)


def test_a_name_that_is_not_there_and_a_test_that_takes_too_long_are_no_finds(tree: Path) -> None:
    undefined = plant(HARMLESS._replace(new="seen = (j <= i) & undefined\n"), tree)
    assert undefined.test == ""
    assert "NameError" in undefined.reason
    late = plant(HARMLESS._replace(tests="tests/test_structure.py --timeout 0.02"), tree)
    assert late.test == ""
    assert "Timeout" in late.reason


def test_a_module_that_cannot_be_imported_is_no_find(tree: Path) -> None:
    outcome = plant(HARMLESS._replace(old="MOST = 2**30", new="MOST = undefined"), tree)
    assert outcome.test == ""


def test_the_copy_is_whole_again(tree: Path) -> None:
    assert (tree / HARMLESS.file).read_text() == (ROOT / HARMLESS.file).read_text()


def test_every_fault_can_be_planted() -> None:
    assert len(SAMPLE) == 10
    assert len({fault.what for fault in FAULTS}) == len(FAULTS) >= 40
    for fault in FAULTS:
        assert changed(fault, ROOT)
        paths = [word for word in shlex.split(fault.tests) if word.startswith("tests/")]
        assert paths, fault
        assert all((ROOT / path).exists() for path in paths), fault
