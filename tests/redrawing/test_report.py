"""``report``: the same reports as after a run, from the file alone, and no framework near."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from compare.analysis.columns import upto
from compare.analysis.entries import entries
from compare.cli import publishing
from compare.cli.main import main
from compare.render import csv_table, markdown
from compare.results.store import REPORT, RESULTS
from compare.stats.estimates import device_time, ratio
from tests import samples
from tests.redrawing.written import folder
from tests.reports.rendered import HOSTILE, printed
from tests.run_fake import no_extras
from tests.samples import JAX, measurement, problem

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(publishing, "installed", no_extras)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["report", *words])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("compare report: error: ")
    return line


def test_the_terminal_shows_what_a_run_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder(tmp_path / "run"))]) == 0
    out, err = capsys.readouterr()
    assert out == printed(samples.nine_problems(), 120)
    assert err == ""


def test_the_files_are_those_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "place"
    assert main(["report", str(folder(tmp_path / "run")), "--format", "csv,markdown", "-o", str(out)]) == 0
    assert (out / REPORT).read_text() == markdown.render(samples.run(), samples.nine_problems())
    assert len(table((out / "report.csv").read_text())) == sum(
        1 for _ in entries(samples.run(), samples.nine_problems())
    )
    assert capsys.readouterr().out.splitlines()[:3] == ["", str(out / REPORT), str(out / "report.csv")]


def test_one_format_goes_to_the_standard_output(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["report", str(folder(tmp_path / "run")), "--format", "csv"]) == 0
    assert capsysbinary.readouterr().out.decode() == csv_table.render(samples.run(), samples.nine_problems())


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m compare report {folder(tmp_path / 'run')} --format csv | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("batch,")


def test_several_results_are_one_report(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    one = folder(tmp_path / "one", samples.run(), measurement(problem(512)))
    other = folder(tmp_path / "other", replace(samples.run(), command="other"), measurement(problem(128)))
    assert main(["report", str(one), str(other / RESULTS), "--format", "csv"]) == 0
    assert [line["q_len"] for line in table(capsysbinary.readouterr().out.decode())] == ["128"] * 3 + ["512"] * 3


def test_results_of_different_studies_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = folder(tmp_path / "one", samples.run(), measurement(problem(512)))
    other = folder(tmp_path / "other", replace(samples.run(), program_version="9"), measurement(problem(128)))
    assert "program version is 9" in refusal(capsys, str(one), str(other))


def test_a_damaged_line_is_named_and_the_rest_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    with (run / RESULTS).open("ab") as file:
        file.write(b'{"kind": "measurement", "pro')
    assert main(["report", str(run)]) == 0
    out, err = capsys.readouterr()
    assert out == printed(samples.nine_problems(), 120)
    [line] = err.splitlines()
    assert line.startswith(f"left out: {run / RESULTS}, line 29: ")


def test_of_many_damaged_lines_the_first_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    with (run / RESULTS).open("ab") as file:
        file.write(b"\x1b[2J\n" * 500)
    assert main(["report", str(run)]) == 0
    *named, last = capsys.readouterr().err.splitlines()
    assert all("\x1b" not in line for line in named)
    assert last == f"left out: {500 - len(named)} more lines"


def test_what_cannot_be_had_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = str(folder(tmp_path / "run")), tmp_path / "a file"
    file.touch()
    assert "expected some of terminal,markdown" in refusal(capsys, run, "--format", "pdf")
    assert "-o DIR" in refusal(capsys, run, "--format", "markdown,csv")
    assert "writes no file" in refusal(capsys, run, "--format", "terminal", "-o", str(tmp_path / "out"))
    assert "found none" in refusal(capsys, str(tmp_path / "nowhere"))
    assert "expected a folder, got a file" in refusal(capsys, run, "-o", str(file))
    assert "expected a line of kind 'run'" in refusal(capsys, str(file))


def test_a_file_in_the_way_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / REPORT).mkdir(parents=True)
    words = [str(folder(tmp_path / "run")), "--format", "markdown", "-o", str(tmp_path / "out")]
    assert "cannot be written" in refusal(capsys, *words)


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "jaxlib", "torch"):
            raise ModuleNotFoundError(f"blocked: {name}")
sys.meta_path.insert(0, Block())
import multiprocessing, os, subprocess
def refuse(*_, **__):
    raise AssertionError("a report started a process")
subprocess.Popen.__init__ = multiprocessing.Process.start = os.fork = os.posix_spawn = refuse
from compare.cli.main import main
code = main(sys.argv[1:])
imported = {name.partition(".")[0] for name in sys.modules}
sys.exit(code or imported & {"jax_attn", "torch_attn"} or 0)
"""


def test_a_report_needs_neither_framework_and_starts_nothing(tmp_path: Path) -> None:
    """Nor do the pictures and the page."""
    run = folder(tmp_path / "run", samples.run(), *samples.three_rows(problem(64), 0.1))
    words = ["report", str(run), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *words], cwd=ROOT, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "pictures" / "fronts.svg").exists()


# ----------------------------------------------------------------------------------------------------------- tables


def test_the_lines_of_the_csv_hold_the_numbers_of_the_report() -> None:
    rows = samples.nine_problems()
    found = table(csv_table.render(samples.run(), rows))
    slow = next(line for line in found if (line["mode"], line["pass"]) == ("eager", "step"))
    reference, row = rows[0], rows[1]
    relative = ratio(row, reference, "step")
    assert float(slow["device_s"]) == device_time(row.passes["step"]).median
    assert [float(slow[name]) for name in ("ratio", "ratio_low", "ratio_high")] == [
        relative.median,
        relative.low,
        relative.high,
    ]
    assert (slow["verdict"], slow["reference"], slow["result"]) == ("SLOWER", JAX.name, "ok")
    assert int(slow["peak_bytes"]) == row.passes["step"].peak_bytes
    assert [line["result"] for line in found if not line["pass"]] == ["OOM", "skip"]


def test_a_key_tells_one_pass_of_one_row() -> None:
    run, rows = samples.run(), samples.nine_problems()
    keys = [each.key for each in entries(run, rows)]
    assert len(set(keys)) == len(keys)
    assert [each.key for each in entries(run, list(reversed(rows)))] != keys
    assert {each.key for each in entries(run, list(reversed(rows)))} == set(keys)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", HOSTILE, 'a"b,c\r\nd'])
def test_no_text_is_a_formula_or_breaks_a_line(text: str) -> None:
    rows = [samples.skip(problem(), reason=text), measurement(problem(), replace(JAX, variant=text))]
    found = table(csv_table.render(samples.run(), rows))
    assert len(found) == 4
    assert not any(cell.startswith(csv_table.FORMULA) for line in found for cell in line.values())
    assert found[0]["reason"].removeprefix("'") == text


def test_every_column_of_the_csv_stands_in_the_docs() -> None:
    described = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    keys = [column.key for column in upto("file")]
    names = {key.removesuffix("_s").removesuffix("_low").removesuffix("_high") for key in keys}
    assert {name for name in names if name not in described} == set()
