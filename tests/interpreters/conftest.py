"""Another interpreter: a virtual environment with what a worker needs and no more, and a trap."""

from __future__ import annotations

import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from compare.plan.interpreters import WORKER_NEEDS

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
    """One with two packages, the fake's under another release, and with another program of this one's name."""
    python = empty(folder)
    link(python)
    (site(python) / f"numpy-{RELEASE}.dist-info").mkdir()
    (site(python) / f"numpy-{RELEASE}.dist-info" / "METADATA").write_text(f"Name: numpy\nVersion: {RELEASE}\n")
    (site(python) / "compare").mkdir()
    (site(python) / "compare" / "__init__.py").write_text("raise RuntimeError('another program')\n")
    return python


def link(python: Path) -> None:
    """Lend it the two packages."""
    for name in WORKER_NEEDS:
        spec = find_spec(name)
        assert spec
        assert spec.origin
        (site(python) / name).symlink_to(Path(spec.origin).parent)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("other"))


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    """One that finds all packages that we find."""
    python = empty(tmp_path / "twin")
    (site(python) / "shared.pth").write_text("\n".join(each for each in sys.path if each.endswith("-packages")))
    return python
