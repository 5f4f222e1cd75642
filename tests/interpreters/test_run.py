"""The fake under two interpreters: rows, names, what each of them sees, and the commands that read the results."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from compare.cli.main import main
from compare.plan import devices
from compare.schema.records import Contender, Measurement, Run
from tests.interpreters.conftest import RELEASE, empty, link, site
from tests.run_fake import arguments, outcomes, register, rows_of, run_of, started_workers

OURS = version("numpy")
CACHES = ("JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
SPY = f"""
import importlib.util, json, os, sys
from pathlib import Path

import compare
from tests.fake_attn.variants.naive import planned

def attend(q, k, v, *, mask, scale):
    seen = {{
        "prefix": sys.prefix,
        "ours": importlib.util.find_spec("only_here") is not None,
        "source": str(Path(compare.__file__).resolve()),
        "caches": [os.environ[name] for name in {CACHES}],
    }}
    (Path(__file__).parent / f"{{os.getpid()}}.json").write_text(json.dumps(seen))
    return planned(q, k, v, mask, scale)
"""


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, other: Path) -> Path:
    """One run for all tests that only look at its results."""
    folder = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        names = ("fake:naive", f"fake:naive@{other}", f"fake:slow@{other}", "fake2:naive")
        assert main(arguments(folder, *names, seq_lens=(8, 16))) == 0
    return folder


def releases(run: Run) -> list[tuple[str, bool, bool]]:
    return [(each.backend, bool(each.python), "python" in each.versions) for each in run.backends]


def test_every_row_says_which_release_it_is_of(out: Path, other: Path) -> None:
    rows = [row for row in rows_of(out) if row.problem.q_len == 16]
    assert [(row.contender.name, row.contender.python) for row in rows] == [
        (f"fake:naive:eager@{OURS}", ""),
        (f"fake:naive:eager@{RELEASE}", str(other)),
        (f"fake:slow:eager@{RELEASE}", str(other)),
        ("fake2:naive:eager", ""),
    ]
    assert all(isinstance(row, Measurement) and row.agreement and row.agreement.agrees for row in rows)


def test_they_took_turns(out: Path) -> None:
    """As many rounds each, so a sample of one belongs to one of the other."""
    for name in ("forward", "backward", "step"):
        results = [row.passes[name] for row in rows_of(out) if isinstance(row, Measurement)]
        assert {(len(each.device_s), len(each.wall_s)) for each in results} == {(6, 6)}


def test_each_interpreter_says_what_it_is(out: Path, other: Path) -> None:
    mine, theirs, second = (f"fake@{OURS}", f"fake@{RELEASE}", "fake2")
    assert releases(run_of(out)) == [(mine, False, False), (theirs, True, True), (second, False, False)]
    report = (out / "report.md").read_text()
    assert f"| {theirs} | numpy" in report
    assert f"under {other} |" in report
    assert f"| `fake:slow:eager@{RELEASE}` | forward |" in report


@pytest.mark.parametrize("workers", ["backend", "contender"])
def test_each_interpreter_has_a_worker_of_its_own(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    pids = started_workers(tmp_path, monkeypatch)
    names = ("fake:naive", "fake:slow", f"fake:naive@{other}", f"fake:slow@{other}")
    assert main([*arguments(tmp_path / "out", *names), "--workers", workers]) == 0
    assert len(list(pids.iterdir())) == {"backend": 2, "contender": 4}[workers]


def test_it_runs_our_source_and_sees_nothing_else_of_ours(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "only_here.py").write_text("")
    (tmp_path / "spy.py").write_text(SPY)
    monkeypatch.setenv("PYTHONPATH", str(ours))
    own = f"fake={tmp_path / 'spy.py'}:attend"
    assert main(arguments(tmp_path / "out", own, f"{own}:eager@{other}")) == 0
    seen: list[dict[str, Any]] = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    mine, theirs = sorted(seen, key=lambda each: each["prefix"] != sys.prefix)
    assert (mine["prefix"], theirs["prefix"]) == (sys.prefix, str(other.parents[1]))
    assert (mine["ours"], theirs["ours"]) == (True, False)
    assert mine["source"] == theirs["source"]
    assert not set(mine["caches"]) & set(theirs["caches"])


DIES = """
import os, sys
if "compare.worker" in sys.orig_argv:
    os._exit(7)
"""


def test_one_that_cannot_start_is_a_row_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    python = empty(tmp_path / "dies")
    link(python)
    (site(python) / "dies.pth").write_text("import dies\n")
    (site(python) / "dies.py").write_text(DIES)
    names = ("fake:naive", f"fake:naive@{python}", "fake2:naive")
    assert main(arguments(tmp_path / "out", *names)) == 3
    found = {name: outcome for (name, _), outcome in outcomes(tmp_path / "out").items()}
    assert found == {
        f"fake:naive:eager@{OURS}": "ok",
        "fake:naive:eager@unknown": "CRASH",
        "fake2:naive:eager": "ok",
    }
    [failure] = [row for row in rows_of(tmp_path / "out") if not isinstance(row, Measurement)]
    assert "exited with code 7" in failure.reason


def test_a_gpu_is_looked_for_by_the_interpreter_that_shall_use_it(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where our source does not lie
    monkeypatch.delenv("PYTHONPATH", raising=False)
    pythons = {"1": other, "2": empty(tmp_path / "blind")}
    found = [
        Contender(backend="fake", variant="naive", mode="eager", python=str(python), release=release)
        for release, python in pythons.items()
    ]
    assert devices.blind_backends(found) == ["fake@2"]


def test_shards_of_it_are_merged(tmp_path: Path, other: Path) -> None:
    folders = [tmp_path / "1", tmp_path / "2"]
    for number, folder in enumerate(folders, 1):
        words = arguments(folder, "fake:naive", f"fake:slow@{other}", seq_lens=(8, 16))
        assert main([*words, "--shard", f"{number}/2"]) == 0
    assert main(["merge", *map(str, folders), "-o", str(tmp_path / "all")]) == 0
    assert len(rows_of(tmp_path / "all")) == 4
    assert releases(run_of(tmp_path / "all")) == [(f"fake@{OURS}", False, False), (f"fake@{RELEASE}", True, True)]


def test_the_longest_sequence_is_looked_for_under_it(tmp_path: Path, other: Path) -> None:
    words = f"--contender fake:naive@{other} --max-seq-len 2048 --pass forward --device cpu --d-model 8 --batch-size 1"
    assert main([*words.split(), "--out", str(tmp_path / "out")]) == 0
    assert f"fake:naive:eager@{RELEASE}" in (tmp_path / "out" / "max_seq_len.md").read_text()


@pytest.mark.parametrize("command", ["select {0}", "report {0}", "report {0} --format csv", "diff {0} {0}"])
def test_what_reads_results_names_the_release(out: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(command.format(out).split()) == 0
    assert RELEASE in capsys.readouterr().out


def test_a_dry_run_names_the_release(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments(tmp_path / "out", "fake:naive", f"fake:naive@{other}"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"fake:naive:eager@{OURS}" in said
    assert f"fake:naive:eager@{RELEASE}" in said
