"""Shapes of real models: what they are, and what may be changed beside them."""

from __future__ import annotations

import pytest

from compare.cli import main
from compare.plan.presets import PRESETS
from tests.command_line.typed import refusal
from tests.planned import parse


def problems(*words: str) -> list[str]:
    _, plan = parse([*words, "--device", "cpu"])
    assert plan
    return [each.label for each in plan.problems]


def test_a_preset_is_a_problem() -> None:
    assert problems("--preset", "llama-3-8b") == ["B=1 T=8192 N=32 K=8 H=128 causal bfloat16"]
    assert problems("--preset", "llama-3-8b-decode") == ["B=32 T=1 S=8192 N=32 K=8 H=128 full bfloat16"]


def test_several_presets_with_other_lengths_and_dtypes() -> None:
    found = problems(
        "--preset", "mistral-7b", "vit-b-16", "--seq-len", "512", "--batch-size", "2", "--dtype", "float16"
    )
    assert found == ["B=2 T=512 N=32 K=8 H=128 window:4096 float16", "B=2 T=512 N=12 H=64 full float16"]


@pytest.mark.parametrize("option", ["--heads 4", "--kv-heads 2", "--d-model 64", "--mask full"])
def test_what_makes_the_model_cannot_be_changed(capsys: pytest.CaptureFixture[str], option: str) -> None:
    line = refusal(capsys, ["--preset", "gpt2-small", *option.split()])
    assert f"leave {option.split()[0]} out" in line


def test_an_unknown_preset(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, ["--preset", "gpt-9"])
    assert "gpt2-small" in line


def test_they_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--list"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(name in out for name in PRESETS)
    assert "arXiv:2407.21783" in out
