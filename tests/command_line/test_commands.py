"""Looking, planning, and what a plan holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compare import backends
from compare.__version__ import VERSION
from compare.cli import main
from compare.machine.environment import relevant
from compare.measure import workers
from compare.variants import variants
from tests.command_line.typed import SMALL, environment, refusal
from tests.planned import parse


@pytest.mark.parametrize(
    "look",
    [["--help"], ["doctor", "--help"], ["--version"], ["--list"], ["--dry-run"], [*SMALL, "--dry-run"]],
    ids=str,
)
def test_looking_succeeds_and_leaves_nothing(capsys: pytest.CaptureFixture[str], folder: Path, look: list[str]) -> None:
    try:
        code = main.main(look)
    except SystemExit as end:  # argparse ends --help and --version itself
        code = end.code
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.strip()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("word", ["--bogus", "now", "--backend"])
def test_the_doctor_takes_no_options(capsys: pytest.CaptureFixture[str], word: str) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["doctor", word])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert err == f"compare doctor: error: unrecognized arguments: {word}; --help shows what is possible\n"


def test_version_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--version"])
    assert capsys.readouterr().out == f"compare {VERSION}\n"


def test_list_shows_every_backend_variant_and_mode(capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["--list"])
    shown = capsys.readouterr().out
    for name, entry in backends.BACKENDS.items():
        [line] = [line for line in shown.splitlines() if line.split()[1:2] == [name]]
        assert all(word in line for word in entry.modes)
        for variant in variants(name):
            [line] = [line for line in shown.splitlines() if line.split()[1:2] == [variant]]
            assert name in line


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
    assert main.main([*SMALL, *argv.split(), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{problems * contenders} cases" in out
    assert len(re.findall(r"B=\d+ T=\d+", out)) == problems
    assert len(re.findall(r"(?:jax|torch):naive:\w+", out)) == problems * contenders


def test_the_parent_imports_no_framework() -> None:
    code = (
        "import sys; from compare.cli.main import main\n"
        "assert main(['--dry-run']) == 0 and main(['--list']) == 0\n"
        "import compare.cli.study, compare.measure.runner, compare.render.markdown\n"
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
    assert main.main([*SMALL, "--backend", other, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{other}:naive" in out
    assert f"{absent}:naive" not in out


def test_list_says_how_to_install_what_is_absent(capsys: pytest.CaptureFixture[str], absent: str) -> None:
    assert main.main(["--list"]) == 0
    assert f"not installed: {backends.BACKENDS[absent].install}" in capsys.readouterr().out


def test_a_contender_named_twice_is_a_second_entrant() -> None:
    named = ["--contender", "jax:naive", "--contender", "torch:naive:eager", "--contender", "jax:naive:jit"]
    _, plan = parse([*SMALL, *named])
    assert plan is not None
    assert [each.name for each in plan.contenders] == ["jax:naive:jit", "torch:naive:eager", "jax:naive:jit#2"]
    assert plan.worker_count == 2
    _, apart = parse([*SMALL, *named, "--workers", "contender"])
    assert apart is not None
    assert apart.worker_count == 3


def test_workers_do_not_inherit_what_would_change_the_mode_or_the_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precision = {"NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"}
    mode = {"TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE", "JAX_DISABLE_JIT", "JAX_NUM_CPU_DEVICES"}
    names = precision | mode | {"PET_NNODES", "PET_MAX_RESTARTS"}  # of torchrun, which would wait for more nodes
    for name in names:
        monkeypatch.setenv(name, "1")
    _, plan = parse([*SMALL, "--backend", "jax"])
    assert plan is not None
    assert not names & set(workers.Fleet(plan.settings, tmp_path, print).environment())
    assert "TORCHDYNAMO_DISABLE" in relevant({"TORCHDYNAMO_DISABLE": "1"})


def test_a_repeated_option_adds_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    """And does not drop the first ones in silence."""
    both = ["--seq-len", "8", "--seq-len", "16", "--mask", "full", "--mask", "causal", "--d-model", "4"]
    assert main.main(["--device", "cpu", "--backend", "jax", *both, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert all(f"T={length} N=1 H=4 {mask}" in out for length in (8, 16) for mask in ("full", "causal"))
