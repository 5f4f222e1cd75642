"""Another interpreter: a virtual environment that finds our packages behind its own, and traps among its own."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

RELEASE = "0.0.1"  # of the fake's one module, as the environment has it


def site(python: Path) -> Path:
    """Its site-packages."""
    [found] = (python.parents[1] / "lib").glob("python3*/site-packages")
    return found


def empty(folder: Path) -> Path:
    """A virtual environment without any package."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def filled(folder: Path) -> Path:
    """One with our packages, and in front of them another release, and another program of this one's name."""
    python = empty(folder)
    shared = [each for each in sys.path if each.endswith("-packages")]
    (site(python) / "shared.pth").write_text("\n".join(shared))
    (site(python) / f"numpy-{RELEASE}.dist-info").mkdir()
    (site(python) / f"numpy-{RELEASE}.dist-info" / "METADATA").write_text(f"Name: numpy\nVersion: {RELEASE}\n")
    (site(python) / "compare").mkdir()
    (site(python) / "compare" / "__init__.py").write_text("raise RuntimeError('another program')\n")
    return python


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("other"))
