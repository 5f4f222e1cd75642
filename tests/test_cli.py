"""The command line: bad input is one line and code 2, the parent imports no framework, looking costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compare import backends, cli, devices, fleet, options, study
from compare.__version__ import VERSION
from compare.environment import OVERRIDES, relevant

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--device", "cpu", "--seq-len", "8", "--d-model", "4", "--batch-size", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own, where results would appear."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(study, "measure", refuse_to_measure)
    return tmp_path


def refuse_to_measure(*_: object) -> None:
    raise AssertionError("a test of the command line went on to measure")


def refusal(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """The one line that bad input ends with."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert sorted(Path.cwd().rglob("*")) == before
    [line] = err.splitlines()
    assert line.startswith("compare: error: ")
    return line


# What is typed, and words that the one line must hold: what is possible.
BAD: dict[str, tuple[str, list[str]]] = {
    "backend": ("--backend tensorflow", ["--backend", "both", "jax", "torch"]),
    "variant": ("--variant magic", ["naive", "'magic'"]),
    "variant of one backend": ("--backend jax --variant magic", ["naive", "'magic'"]),
    "mode": ("--mode jitter", ["--mode", "eager", "compile"]),
    "mask": ("--mask diagonal", ["full", "causal", "window:W", "strided:L"]),
    "mask size": ("--mask window:0", ["window:W", "from 1"]),
    "mask size beyond 32 bits": (f"--mask window:{2**31}", [f"'window:{2**31}'"]),
    "mask size beyond 64 bits": (f"--mask strided:{2**63}", [f"'strided:{2**63}'"]),
    "dtype": ("--dtype float64", ["float32", "bfloat16", "float16"]),
    "precision": ("--matmul-precision high", ["ieee", "tf32", "default"]),
    "pass": ("--pass sideways", ["forward", "backward", "step"]),
    "device": ("--device tpu", ["cpu", "gpu"]),
    "malloc": ("--malloc mine", ["recycle", "system"]),
    "contender without a variant": ("--contender jax", ["backend:variant[:mode]", "'jax'"]),
    "contender's backend": ("--contender numpy:naive", ["jax", "torch", "'numpy:naive'"]),
    "contender's variant": ("--contender jax:magic", ["naive", "'magic'"]),
    "contender's mode": ("--contender torch:naive:jit", ["eager", "compile", "'jit'"]),
    "contender with too many parts": ("--contender jax:naive:jit:now", ["backend:variant[:mode]"]),
    "second contender": ("--contender jax:naive --contender torch:", ["naive", "'torch:'"]),
    "zero": ("--seq-len 0", ["--seq-len", "from 1", "'0'"]),
    "negative": ("--batch-size -4", ["--batch-size", "from 1", "'-4'"]),
    "one of several": ("--d-model 16 0 32", ["--d-model", "from 1", "'0'"]),
    "absurd": ("--seq-len 999999999999", ["--seq-len", "to 16777216"]),
    "fraction": ("--d-model 16.5", ["--d-model", "whole number", "'16.5'"]),
    "no number": ("--heads many", ["--heads", "whole number", "'many'"]),
    "no value": ("--seq-len", ["--seq-len", "expected at least one argument"]),
    "thousands of digits": ("--seq-len " + "9" * 5000, ["--seq-len", "to 16777216"]),
    "zero kv-len": ("--kv-len 0", ["--kv-len", "from 1"]),
    "zero heads": ("--heads 0", ["--heads", "from 1"]),
    "zero kv-heads": ("--kv-heads 0", ["--kv-heads", "from 1"]),
    "negative seed": ("--seed -1", ["--seed", "from 0"]),
    "kv-heads": ("--heads 4 --kv-heads 3 --d-model 16", ["--heads 4", "--kv-heads 3", "multiple"]),
    "d_model": ("--heads 3 --d-model 16", ["--d-model 16", "--heads 3", "multiple"]),
    "more heads than d_model": ("--heads 32 --d-model 16", ["--d-model 16", "--heads 32", "multiple"]),
    "query without a key": ("--mask window:4 --seq-len 16 --kv-len 8", ["window", "query 11 sees none"]),
    "five samples": ("--samples 5", ["--samples", "from 6", "'5'"]),
    "no budget": ("--budget 0", ["--budget", "above 0"]),
    "budget that is no number": ("--budget nan", ["--budget", "above 0"]),
    "endless timeout": ("--timeout inf", ["--timeout", "'inf'"]),
    "zero threads": ("--threads 0", ["--threads", "from 1"]),
    "tf32 on a CPU": ("--device cpu --matmul-precision tf32", ["tf32", "ieee", "default"]),
    "option": ("--sequence 4", ["--sequence"]),
    "stray word": ("naive", ["naive"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_that_names_what_is_possible(capsys: pytest.CaptureFixture[str], name: str) -> None:
    argv, words = BAD[name]
    line = refusal(capsys, argv.split())
    assert [word for word in words if word not in line] == []


def test_more_threads_than_cpus(capsys: pytest.CaptureFixture[str]) -> None:
    available = devices.cpu_threads()
    line = refusal(capsys, [*SMALL, "--threads", str(available + 1)])
    assert f"--threads {available + 1}" in line
    assert f"possible: 1 to {available}" in line


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_a_gpu_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, ["--device", "gpu"])
    assert all(word in line for word in ("--device gpu", "jax", "torch", "possible: cpu"))


def test_out_that_is_not_empty(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "notes").write_text("mine")
    line = refusal(capsys, [*SMALL, "--out", "kept"])
    assert "kept: expected a new or empty folder" in line
    assert (folder / "kept" / "notes").read_text() == "mine"


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_out_at_or_under_a_file(capsys: pytest.CaptureFixture[str], folder: Path, out: str) -> None:
    (folder / "file").write_text("")
    assert f"--out {out}: " in refusal(capsys, [*SMALL, "--out", out])


def test_out_with_a_name_that_no_file_system_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out " in refusal(capsys, [*SMALL, "--out", "x" * 300])


@pytest.mark.parametrize(
    "argv",
    [["--seq-len", "0"], ["--contender", "jax:magic"], ["--heads", "3", "--d-model", "16"]],
    ids=["parsing", "naming", "planning"],
)
def test_bad_input_to_the_real_program(folder: Path, argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compare", *argv], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("look", [["--help"], ["--version"], ["--list"], ["--dry-run"], [*SMALL, "--dry-run"]], ids=str)
def test_looking_succeeds_and_leaves_nothing(capsys: pytest.CaptureFixture[str], folder: Path, look: list[str]) -> None:
    try:
        code = cli.main(look)
    except SystemExit as end:  # argparse ends --help and --version itself
        code = end.code
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.strip()
    assert list(folder.iterdir()) == []


def test_version_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"compare {VERSION}\n"


def test_list_shows_every_backend_variant_and_mode(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--list"])
    shown = capsys.readouterr().out
    for name, entry in backends.BACKENDS.items():
        [line] = [line for line in shown.splitlines() if line.split()[1:2] == [name]]
        assert all(word in line for word in (*backends.variants(name), *entry.modes))


@pytest.mark.parametrize(
    ("argv", "problems", "contenders"),
    [
        ("--backend jax", 1, 1),
        ("--backend both", 1, 3),
        ("--backend torch --mode eager", 1, 1),
        ("--contender jax:naive --contender torch:naive:eager --contender jax:naive:jit", 1, 3),  # a second entrant
        ("--backend jax --batch-size 1 2 --seq-len 8 16 32 --d-model 4 8", 12, 1),
        ("--backend jax --heads 1 2 --mask full causal window:3 --dtype float32 bfloat16", 12, 1),
        ("--backend jax --heads 4 --kv-heads 1 2 4 --kv-len 8 9", 6, 1),
        ("--backend jax --seq-len 8 8 16", 2, 1),
        ("--backend jax --dtype bfloat16 float32 --matmul-precision ieee default", 3, 1),  # bfloat16 has one precision
    ],
)
def test_dry_run_counts_the_product_of_the_sweep(
    capsys: pytest.CaptureFixture[str], argv: str, problems: int, contenders: int
) -> None:
    assert cli.main([*SMALL, *argv.split(), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{problems * contenders} cases" in out
    assert len(re.findall(r"B=\d+ T=\d+", out)) == problems
    assert len(re.findall(r"(?:jax|torch):naive:\w+", out)) == problems * contenders


def test_the_parent_imports_no_framework() -> None:
    code = (
        "import sys; from compare.cli import main\n"
        "assert main(['--dry-run']) == 0 and main(['--list']) == 0\n"
        "import compare.study, compare.runner, compare.report.markdown\n"
        "found = {'jax', 'jaxlib', 'torch', 'jax_attn', 'torch_attn'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(params=["jax", "torch"])
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend whose module is not installed."""
    entry = backends.BACKENDS[request.param]._replace(requires=("no_such_framework",))
    monkeypatch.setitem(backends.BACKENDS, request.param, entry)
    return request.param


def test_a_framework_that_is_not_installed(capsys: pytest.CaptureFixture[str], absent: str) -> None:
    line = refusal(capsys, SMALL)
    other = {"jax": "torch", "torch": "jax"}[absent]
    words = (f"{absent} is not installed", "no_such_framework", backends.BACKENDS[absent].install, f"--backend {other}")
    assert [word for word in words if word not in line] == []


def test_the_other_framework_alone_still_plans(capsys: pytest.CaptureFixture[str], absent: str) -> None:
    other = {"jax": "torch", "torch": "jax"}[absent]
    assert cli.main([*SMALL, "--backend", other, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{other}:naive" in out
    assert f"{absent}:naive" not in out


def test_list_says_how_to_install_what_is_absent(capsys: pytest.CaptureFixture[str], absent: str) -> None:
    assert cli.main(["--list"]) == 0
    assert f"not installed: {backends.BACKENDS[absent].install}" in capsys.readouterr().out


def test_a_contender_named_twice_is_a_second_entrant() -> None:
    named = ["--contender", "jax:naive", "--contender", "torch:naive:eager", "--contender", "jax:naive:jit"]
    _, plan = options.parse([*SMALL, *named])
    assert plan is not None
    assert [each.name for each in plan.contenders] == ["jax:naive:jit", "torch:naive:eager", "jax:naive:jit#2"]
    assert plan.worker_count == 2
    _, apart = options.parse([*SMALL, *named, "--workers", "contender"])
    assert apart is not None
    assert apart.worker_count == 3


def test_a_folder_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SystemExit) as end:
        options.parse([*SMALL, "--backend", "jax", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "Permission denied" in capsys.readouterr().err


def test_workers_do_not_inherit_what_would_change_the_mode_or_the_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OVERRIDES:
        monkeypatch.setenv(name, "1")
    _, plan = options.parse([*SMALL, "--backend", "jax"])
    assert plan is not None
    assert not set(OVERRIDES) & set(fleet.Fleet(plan.settings, tmp_path, print).environment())
    assert "TORCHDYNAMO_DISABLE" in relevant({"TORCHDYNAMO_DISABLE": "1"})
