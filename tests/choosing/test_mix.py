"""Weights: what an entry means, and how a file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from compare.analysis.mix import EVERYTHING, Calls, mixed, read
from compare.plan.presets import PRESETS
from compare.schema.records import Problem
from tests.samples import problem

SHORT, LONG = problem(256), problem(4096)
HALF = replace(SHORT, dtype="bfloat16", matmul_precision="default")
ALL = (SHORT, LONG, HALF)


def file(folder: Path, text: str, name: str = "weights.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_without_weights_every_problem_is_called_equally_often() -> None:
    assert mixed([*ALL, SHORT], EVERYTHING) == dict.fromkeys(ALL, 1.0)


def test_an_entry_means_every_problem_with_its_fields(tmp_path: Path) -> None:
    calls = read(file(tmp_path, "[[calls]]\nweight = 30\nq_len = 256\n[[calls]]\nweight = 0.5\nq_len = 4096\n"))
    assert mixed(ALL, calls) == {SHORT: 30.0, HALF: 30.0, LONG: 0.5}
    assert mixed(ALL, [Calls(dtype="bfloat16", weight=2)]) == {HALF: 2.0}


def test_json_says_the_same(tmp_path: Path) -> None:
    content = {"calls": [{"weight": 30, "q_len": 256}, {"q_len": 4096}]}
    calls = read(file(tmp_path, json.dumps(content), "weights.json"))
    assert mixed(ALL, calls) == {SHORT: 30.0, HALF: 30.0, LONG: 1.0}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_shape_in_any_dtype_and_no_other(name: str) -> None:
    preset = PRESETS[name]
    shape = {"batch": preset.batch, "heads": preset.heads, "kv_heads": preset.kv_heads, "mask": preset.mask}
    where = problem(preset.seq_len, preset.head_dim, **shape, kv_len=preset.kv_len or preset.seq_len)
    others = [replace(where, batch=where.batch + 1), replace(where, kv_len=where.kv_len + 1)]
    others += [replace(where, mask="strided:7"), replace(where, kv_heads=where.kv_heads * 2)]
    half = replace(where, dtype="bfloat16", matmul_precision="default")
    assert set(mixed([where, half, *others], [Calls(preset=name)])) == {where, half}


REFUSED = {
    "an unknown field": ("[[calls]]\nseq_len = 256\n", ["seq_len", "q_len", "head_dim"]),
    "no entry": ("calls = []\n", ["calls", "length >= 1"]),
    "another table": ("[[call]]\nq_len = 256\n", ["call"]),
    "a weight of nothing": ("[[calls]]\nweight = 0\n", ["weight", "> 0"]),
    "a weight below nothing": ("[[calls]]\nweight = -1\n", ["weight", "> 0"]),
    "a weight that is no number": ("[[calls]]\nweight = nan\n", ["weight"]),
    "an endless weight": ("[[calls]]\nweight = inf\n", ["weight"]),
    "a length in words": ("[[calls]]\nq_len = '256'\n", ["q_len", "int"]),
    "a dtype that is none": ("[[calls]]\ndtype = 'float64'\n", ["dtype", "float64"]),
    "a preset that is none": ("[[calls]]\npreset = 'gpt-9'\n", ["gpt-9", "gpt2-small"]),
    "no TOML": ("[[calls\n", ["weights.toml"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_with_what_is_wrong_in_it(tmp_path: Path, name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(ValueError, match=r"weights\.toml: ") as refusal:
        read(file(tmp_path, text))
    assert [word for word in words if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "none.toml")
    (tmp_path / "torn.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"torn\.toml"):
        read(tmp_path / "torn.toml")


def test_an_entry_that_is_no_problem_or_is_in_doubt_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no measured problem has q_len=7; measured: .*T=256"):
        mixed(ALL, [Calls(q_len=7)])
    with pytest.raises(ValueError, match=r"two entries have .*T=256 .*: q_len=256, and dtype=bfloat16"):
        mixed(ALL, [Calls(q_len=256), Calls(dtype="bfloat16")])


def test_every_field_of_a_problem_can_be_named() -> None:
    assert set(Calls.__struct_fields__) == {*Problem.__struct_fields__, "weight", "preset"}
