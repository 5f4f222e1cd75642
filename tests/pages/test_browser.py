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

from compare.findings.analysis import measurements
from compare.findings.summary import device_time
from compare.report import page
from tests import samples
from tests.pages.parsed import all_texts

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
DRIVER = """
const seen = (column) => lines.filter((line) => !line.hidden).map((line) => cellsOf(line)[column].textContent.trim());
const order = () => [...document.querySelectorAll("#entries > tbody")].map((each) => cellsOf(each)[4].dataset.value);
const buttons = [...document.querySelectorAll("#entries th button")];
const click = (name) => buttons.find((each) => each.textContent === name).click();
const found = {};
click("Device (ms)"); found.up = order();
click("Device (ms)"); found.down = order();
words.value = "T=1024 EAGER"; words.dispatchEvent(new Event("input"));
found.filtered = [seen(1), seen(2)];
words.value = ""; choices[1].value = "FASTER"; choices[1].dispatchEvent(new Event("change"));
found.faster = seen(6);
const hidden = lines.find((line) => line.hidden);
location.hash = hidden.id;
addEventListener("hashchange", () => {
  found.revealed = [hidden.hidden, hidden.rows[1].hidden];
  const side = document.querySelector("#side-by-side").parentNode.querySelector("table");
  side.querySelectorAll("th button")[2].click();
  found.side = [...side.tBodies[0].rows].map((row) => [row.cells[0].textContent, row.cells[2].textContent]);
  document.title = JSON.stringify(found);
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


def driven(tmp_path: Path, text: str) -> Any:
    """What the driver found out; the policy would not let it run."""
    open_page = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", f"<script>{DRIVER}</script></body>")
    dom, console = loaded(tmp_path, open_page)
    assert console == []
    return json.loads(dom.split("<title>")[1].split("</title>")[0])


# CI installs one (.ci/run): there a missing browser is a failure.
needs_browser = pytest.mark.skipif(BROWSER is None and "CI" not in os.environ, reason="no Chromium here")


@needs_browser
def test_lines_are_sorted_filtered_and_found(tmp_path: Path) -> None:
    rows = samples.nine_problems()
    found = driven(tmp_path, page.render(samples.run(), rows))
    times = [device_time(each).median for row in measurements(rows) for each in row.passes.values()]
    assert [float(each) for each in found["up"] if each] == sorted(times)
    assert found["up"][-2:] == found["down"][-2:] == ["", ""]
    assert [float(each) for each in found["down"] if each] == sorted(times, reverse=True)
    labels, names = found["filtered"]
    assert len(labels) == 9
    assert all("T=1024" in label for label in labels)
    assert all(name == "torch:naive:eager" for name in names)
    assert found["faster"]
    assert set(found["faster"]) == {"FASTER"}
    assert found["revealed"] == [False, False]
    side = [float(time.split(" ")[0]) for _, time in found["side"] if time[0].isdigit()]
    assert side == sorted(side)
    assert all(label for label, _ in found["side"])


@needs_browser
def test_hostile_text_does_nothing_and_the_console_is_silent(tmp_path: Path) -> None:
    text = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> `|</td>"
    dom, console = loaded(tmp_path, page.render(*all_texts(text)))
    assert console == []
    assert "<title>Attention benchmark: jax and torch</title>" in dom
    assert "of 8 lines" in dom
