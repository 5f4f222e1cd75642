"""The script of the runs on several GPUs: its studies are ones that the program takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.several_gpus import parts
from compare.cli import options
from compare.schema.records import Device
from tests.planned import parse


def test_its_studies_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def any_gpu(*_: object) -> tuple[Device, str, int | None]:
        return "gpu", "", None

    monkeypatch.setattr(options, "find_device", any_gpu)
    studies = [arguments[2:] for _, arguments in parts(2, tmp_path) if arguments[1] == "compare"]
    plans = [parse(each)[1] for each in studies]
    assert [plan.settings.process_per_device for plan in plans if plan] == [False, False, True]
    assert [sorted({each.devices for each in plan.problems}) for plan in plans if plan] == [[1, 2], [1, 2], [2]]
