"""From what a program holds to why its time differs, the whole way: worker, results file, report, terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli.main import main
from compare.results import store
from tests.run_fake import arguments, row


def test_what_a_program_holds_stands_with_each_kernel_of_each_pass(out: Path) -> None:
    assert main(arguments(out, "fake:naive")) == 0
    passes = row(out, "fake:naive:eager").passes
    forward = {each.name: each.contents for each in passes["forward"].kernels}
    assert forward == {"scores": ("dot",), "softmax": (), "output": ("dot",)}
    assert {each.name for each in passes["backward"].kernels} == {"probability gradients", "input gradients"}
    assert len(passes["step"].kernels) == 5
    assert sum(bool(each.contents) for each in passes["step"].kernels) == 4


def test_explain_adds_to_the_terminal_and_to_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, pages = [], []
    for name, flags in (("a", []), ("b", ["--explain"])):
        given = [*arguments(tmp_path / name, "fake:naive", "fake2:slow"), "--pass", "forward", *flags]
        assert main(given) == 0
        shown.append(" ".join(capsys.readouterr().out.split()))
        pages.append((tmp_path / name / store.REPORT).read_text())
    sentence = "fake2:slow:eager forward fake2:slow:eager takes 1.25x the time of fake:naive:eager, 0.250 ms more:"
    assert [sentence in each for each in shown] == [False, True]
    assert all("fake2:slow:eager takes 1.25x the time of fake:naive:eager, 0.250 ms more:" in page for page in pages)
    runs = [[each.device_s for each in row(tmp_path / name, "fake2:slow:eager").passes.values()] for name in "ab"]
    assert runs[0] == runs[1]
