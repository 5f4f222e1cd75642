"""The page in a real browser, where one is installed: sorting, filtering, addresses, and a silent console."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compare.render import html
from compare.results.rows import measurements
from compare.stats.estimates import device_time
from tests import samples
from tests.pages.parsed import all_texts
from tests.samples import COMPILE, JAX, measurement, problem

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
DRIVER = """
const bodies = () => [...document.querySelectorAll("#entries > tbody")];
const heads = [...document.querySelectorAll("#entries th")].map((each) => each.textContent.trim());
const seen = (name) => bodies().map((each) => each.rows[0].cells[heads.indexOf(name)].textContent.trim());
const values = () => found.map((line) => line.cells[heads.indexOf("Device (ms)") - 1][1]);
const buttons = [...document.querySelectorAll("#entries th button")];
const click = (name) => buttons.find((each) => each.textContent === name).click();
const said = {shown: bodies().length};
click("Device (ms)"); said.up = values(); said.first = seen("Device (ms)")[0];
click("Device (ms)"); said.down = values();
click("Problem"); said.problems = seen("Problem");
words.value = "T=1024 EAGER"; words.dispatchEvent(new Event("input"));
said.filtered = [seen("Problem"), seen("Contender")];
words.value = ""; choices[1].value = "FASTER"; choices[1].dispatchEvent(new Event("change"));
said.faster = seen("Verdict");
const hidden = lines.find((line) => line.cells[heads.indexOf("Verdict") - 1][0] !== "FASTER" && line.kernels.length);
location.hash = hidden.id;
addEventListener("hashchange", () => {
  said.revealed = [bodies()[0].id === hidden.id, bodies()[0].matches(":target"), bodies()[0].rows.length];
  said.kernels = [...bodies()[0].querySelectorAll(".kernels code")].map((each) => each.textContent);
  const side = document.querySelector("#side-by-side")?.parentNode.querySelector("table");
  const place = side && [...side.querySelectorAll("th")].findIndex((each) => each.textContent === "Device (ms)");
  side?.querySelectorAll("th button")[place].click();
  said.side = side && [...side.tBodies[0].rows].map((row) => [row.cells[0].textContent, row.cells[place].textContent]);
  document.title = JSON.stringify(said);
});
"""


def loaded(tmp_path: Path, text: str) -> tuple[str, list[str]]:
    """The page after its scripts ran, and what the console says."""
    assert BROWSER, "CI needs Chromium"
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000"]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def driven(tmp_path: Path, text: str, script: str = DRIVER) -> Any:
    """What the driver found out; the policy would not let it run."""
    open_page = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", f"<script>{script}</script></body>")
    dom, console = loaded(tmp_path, open_page)
    assert console == []
    return json.loads(dom.split("<title>")[1].split("</title>")[0])


# CI installs one (.ci/run): there a missing browser is a failure.
needs_browser = pytest.mark.skipif(BROWSER is None and "CI" not in os.environ, reason="no Chromium here")


@needs_browser
def test_lines_are_sorted_filtered_and_found(tmp_path: Path) -> None:
    rows = samples.nine_problems()
    found = driven(tmp_path, html.render(samples.run(), rows))
    times = [device_time(each).median for row in measurements(rows) for each in row.passes.values()]
    assert [each for each in found["up"] if each] == sorted(times)
    assert found["up"][-2:] == found["down"][-2:] == ["", ""]
    assert [each for each in found["down"] if each] == sorted(times, reverse=True)
    assert float(found["first"].split(" ")[0]) == pytest.approx(min(times) * 1e3, rel=1e-2)
    sizes = [
        (int(label.split("T=")[1].split(" ")[0]), int(label.split("H=")[1].split(" ")[0]))
        for label in found["problems"]
    ]
    assert sizes == sorted(sizes)  # as numbers: T=1024 stands behind T=256
    labels, names = found["filtered"]
    assert len(labels) == 9
    assert all("T=1024" in label for label in labels)
    assert all(name == "torch:naive:eager" for name in names)
    assert found["faster"]
    assert set(found["faster"]) == {"FASTER"}
    assert found["revealed"] == [True, True, 2]
    assert found["kernels"] == ["gemm", "softmax"]
    side = [float(time.split(" ")[0]) for _, time in found["side"] if time[0].isdigit()]
    assert side == sorted(side)
    assert all(label for label, _ in found["side"])


@needs_browser
def test_of_many_lines_the_browser_makes_a_part(tmp_path: Path) -> None:
    rows = [measurement(problem(1 + at), each, 1e-3 + at * 1e-6) for at in range(100) for each in (JAX, COMPILE)]
    found = driven(tmp_path, html.render(samples.run(), rows))
    assert found["shown"] == 200
    assert len(found["up"]) == 600  # all of them are sorted
    assert found["up"] == sorted(found["up"])
    assert found["revealed"] == [True, True, 2]


RATIOS = ["0.097x ±0.4%", "0.81x", "1.00x ±0.8% UNDECIDED", "1.08x [0.9, 1.2]", "1.20x", "1.8x", "12x SLOWER", "–"]


@needs_browser
def test_ratios_are_sorted_as_numbers(tmp_path: Path) -> None:
    script = "const cells = TEXTS_GIVEN; document.title = JSON.stringify(sorted(cells, cells.map(valueOf), false));"
    given = script.replace("TEXTS_GIVEN", json.dumps(RATIOS[::-1]))
    assert driven(tmp_path, html.render(samples.run(), samples.nine_problems()), given) == RATIOS


@needs_browser
def test_a_word_of_any_length_makes_the_page_no_wider_than_the_window(tmp_path: Path) -> None:
    script = "document.title = JSON.stringify(document.documentElement.scrollWidth <= innerWidth)"
    assert driven(tmp_path, html.render(*all_texts("x" * 2000)), script)


@needs_browser
def test_hostile_text_does_nothing_and_the_console_is_silent(tmp_path: Path) -> None:
    text = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> `|</td>"
    dom, console = loaded(tmp_path, html.render(*all_texts(text)))
    assert console == []
    assert "<title>Attention benchmark: jax and torch</title>" in dom
    assert "of 8 lines" in dom
