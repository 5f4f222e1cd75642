"""The net holds: ten planted faults are found, every other one can still be planted, and what is no find is none."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS, Fault
from tests.planted.planting import ROOT, copy_tree, plant

SAMPLE = [fault for fault in FAULTS if fault.sampled]
HARMLESS = Fault("nothing", "compare/contract.py", "seen = j <= i\n", "seen = (j <= i)\n", "tests/test_contract.py")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("fault", SAMPLE, ids=lambda fault: fault.what)
def test_a_planted_fault_is_found(fault: Fault, tree: Path) -> None:
    outcome = plant(fault, tree)
    assert outcome.test.startswith("tests/"), outcome.reason


def test_what_breaks_nothing_is_found_by_nobody(tree: Path) -> None:
    outcome = plant(HARMLESS, tree)
    assert (outcome.test, outcome.reason[:19]) == ("", "pytest ended with 0")


def test_a_module_that_cannot_be_imported_is_no_find(tree: Path) -> None:
    outcome = plant(HARMLESS._replace(old="MOST = 2**30", new="MOST = undefined"), tree)
    assert (outcome.test, outcome.reason[:19]) == ("", "pytest ended with 2")


def test_the_copy_is_whole_again(tree: Path) -> None:
    assert (tree / HARMLESS.file).read_text() == (ROOT / HARMLESS.file).read_text()


def test_every_fault_can_be_planted() -> None:
    assert len(SAMPLE) == 10
    assert len({fault.what for fault in FAULTS}) == len(FAULTS) >= 40
    for fault in FAULTS:
        text = (ROOT / fault.file).read_text(encoding="utf-8")
        assert text.count(fault.old) == 1, fault
        compile(text.replace(fault.old, fault.new), fault.file, "exec")
        paths = [word for word in shlex.split(fault.tests) if word.startswith("tests/")]
        assert paths, fault
        assert all((ROOT / path).exists() for path in paths), fault
