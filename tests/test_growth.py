"""What an extension costs, shown in a copy of the tree: a variant is one file, a mask is contract and oracle, a
framework is a package and one line of the registry, a question is one file."""

from __future__ import annotations

import ast
import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.variants import variants

ROOT = Path(__file__).parents[1]
Run = Callable[..., str]
SMALL = ["--device", "cpu", "--threads", "1", "--batch-size", "1", "--seq-len", "64", "--d-model", "16"]
NEW_VARIANT = '''"""A variant that was added for a test."""

from compare.schema.contract import Variant, check
from {package}.variants import {like}

VARIANT = Variant(
    summary="Added by one file",
    masks=("full", "causal"),
    scores="none",
    recomputes=True,
    solution="FlashAttention",
)


def attention(q, k, v, *, mask="causal", scale=None):
    check(q.shape, k.shape, v.shape, mask, scale, VARIANT, __name__)
    return {like}.attention(q, k, v, mask=mask, scale=scale)
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy = tmp_path / "tree"
    for name in ("compare", "jax_attn", "torch_attn", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "golden", "outcomes"))
    return copy


@pytest.fixture
def run(tree: Path) -> Run:
    """``python -m compare`` in the copy; what it prints."""

    def run(*words: str, codes: tuple[int, ...] = (0,)) -> str:
        environment = os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "compare", *words]
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in codes, done.stderr[-2000:] + done.stdout[-2000:]
        return done.stdout

    return run


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def test_a_variant_is_one_file_for_each_framework(tree: Path, run: Run) -> None:
    for package, like in (("jax_attn", "fused_chunked"), ("torch_attn", "fused_flash")):
        (tree / package / "variants" / "fused_new.py").write_text(NEW_VARIANT.format(package=package, like=like))
    assert re.search(r"fused_new +│ jax torch +│ Added by one file", run("--list"))
    words = ["--variant", "naive", "fused_new", "--mode", "eager", "--samples", "6", "--pass", "forward", "step"]
    run(*words, *SMALL, "--out", "out")
    run("report", "out", "--format", "csv,markdown", "-o", "drawn")
    with (tree / "drawn" / "report.csv").open() as file:
        measured = [row for row in csv.DictReader(file) if row["variant"] == "fused_new"]
    assert {(row["backend"], row["pass"], row["result"]) for row in measured} == {
        (name, part, "ok") for name in ("jax", "torch") for part in ("forward", "step")
    }
    assert all(float(row["share"]) > 0 for row in measured)
    solutions = (tree / "drawn" / "report.md").read_text().split("## Solutions")[1].split("\n## ")[0]
    assert "`jax:fused_new:jit`" in solutions
    assert "`torch:fused_new:eager`" in solutions
    assert "FlashAttention: " not in run("select", "out")  # which would say that none was measured
    plan = run("--backend", "both", "--variant", "fused_new", *SMALL, "--mask", "causal", "window:16", "--dry-run")
    assert "fused_new does not support mask window; supported: full, causal" in plan


def test_a_mask_is_refused_by_every_variant_that_does_not_declare_it(tree: Path, run: Run) -> None:
    contract = tree / "compare" / "schema" / "contract.py"
    edit(contract, '"window:W", "strided:L")', '"window:W", "strided:L", "prefix:P")')
    edit(contract, 'sized = kind in ("window", "strided") and', 'sized = kind in ("window", "strided", "prefix") and')
    edit(
        contract,
        "    seen = j <= i\n",
        '    seen = j <= i\n    if mask.kind == "prefix":\n        return seen | (j < mask.size)\n',
    )
    edit(contract, '    if mask.kind in ("full", "causal"):\n', '    if mask.kind in ("full", "causal", "prefix"):\n')
    names = sorted({*variants("jax"), *variants("torch")})
    every = ["--variant", *names, *SMALL, "--mask", "prefix:4"]
    plan = run("--backend", "both", *every, "--mode", "eager", "--dry-run")
    assert re.search(r"^0 cases", plan, re.MULTILINE)
    for name in names:
        assert f"{name} does not support mask prefix" in plan
    run("--contender", "jax:naive", "--contender", "torch:fused", *SMALL, "--mask", "prefix:4", "--out", "out")
    kinds = re.findall(r'"kind":"(\w+)"', (tree / "out" / "results.jsonl").read_text())
    assert "skip" in kinds
    assert "measurement" not in kinds


def test_a_framework_is_a_package_and_one_line_of_the_registry(tree: Path, run: Run) -> None:
    line = (
        '    "numpy": Backend("NumPy", "tests.fake_attn", ("numpy",), ("eager",), ("eager",), "pip install numpy"),\n'
    )
    edit(
        tree / "compare" / "backends.py",
        "BACKENDS: dict[str, Backend] = {\n",
        "BACKENDS: dict[str, Backend] = {\n" + line,
    )
    words = ["--contender", "numpy:naive", "--contender", "numpy:slow", *SMALL, "--samples", "6", "--out", "out"]
    said = run(*words)
    assert "numpy:slow:eager" in said
    assert '"agrees":true' in (tree / "out" / "results.jsonl").read_text()


NEW_QUESTION = '''"""A question that was added for a test."""

from compare.analysis.sections import Section

ORDER = 12


def sections(run, rows):
    return [Section("How many rows", [f"The run has {len(rows)} rows."])]
'''


def test_a_question_is_one_file(tree: Path, run: Run) -> None:
    (tree / "compare" / "analysis" / "how_many.py").write_text(NEW_QUESTION)
    run("report", str(ROOT / "results" / "cpu"), "--format", "markdown,html", "-o", "drawn")
    markdown, html = ((tree / "drawn" / name).read_text() for name in ("report.md", "report.html"))
    assert re.search(r"^## How many rows\n\nThe run has \d+ rows\.$", markdown, re.MULTILINE)
    assert re.search(r"How many rows</h2>\s*<p>The run has \d+ rows\.</p>", html)


def test_outside_of_the_registry_no_decision_names_a_framework() -> None:
    for path in (ROOT / "compare").rglob("*.py"):
        if path.name == "backends.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and node.value in ("jax", "torch", "JAX", "PyTorch")), path
