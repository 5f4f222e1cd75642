"""Other Pythons for contenders, with releases of the frameworks of their own: asked once, before anything is measured.

They run this program's source and nothing else of its own interpreter: its packages would hide theirs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec.structs import replace

from compare.backends import BACKENDS, backend
from compare.schema.records import Contender

OLDEST, NEWEST = (3, 11), (3, 13)  # as pyproject.toml has it
WORKER_NEEDS = ("msgspec", "numpy")  # the worker itself, beside its framework
UNKNOWN = "unknown"
ASK_TIMEOUT_S = 60.0
# Any Python 3 can read this.  A module's distribution has its name, where it has one at all.
ASK = """
import json, sys
found = {"python": sys.version_info[:2]}
if sys.version_info >= (3, 11):
    from importlib import metadata, util
    found["missing"] = [name for name in sys.argv[1:] if util.find_spec(name) is None]
    if not found["missing"]:
        import compare.worker.__main__
    try:
        found["release"] = metadata.version(sys.argv[1])
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class Answer(msgspec.Struct, frozen=True):
    """Metadata of an interpreter; ``release``: of the framework, by its first module."""

    python: tuple[int, int]
    missing: tuple[str, ...] = ()
    release: str = UNKNOWN


def split(text: str) -> tuple[str, str | None]:
    """What is typed before ``@`` and behind it; of a user's function that is the first one behind the file."""
    at = text.find("@", max(0, text.find(".py:")))
    return (text, None) if at < 0 else (text[:at], text[at + 1 :])


def path(text: str) -> str:
    """An executable by its path, or found by its name, but never what it links to: that is outside its environment."""
    found = shutil.which(os.path.expanduser(text)) if text else None  # noqa: PTH111  (a Path would lose ./)
    if not found:
        raise ValueError(f"contender: expected an executable Python behind @, got {text!r}")
    return str(Path(found).absolute())


def source(folder: Path) -> Path:
    """A folder, in the given one, that holds this program's packages and nothing that may lie beside them."""
    found, root = folder / "source", Path(__file__).resolve().parents[2]
    found.mkdir(exist_ok=True)
    for package in {"compare", *(entry.package.partition(".")[0] for entry in BACKENDS.values())}:
        if not (found / package).exists():
            (found / package).symlink_to(root / package)
    return found


def environment(inherited: Mapping[str, str], source: Path) -> dict[str, str]:
    """The variables of another interpreter: those that lead to packages name this program's source alone."""
    kept = {name: value for name, value in inherited.items() if name != "PYTHONHOME"}
    return kept | {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"}


def released(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """The contenders, with the release of each backend that runs in another interpreter.  Raises ValueError.

    Where two interpreters have the same one, the second has ``(2)`` behind it.
    """
    other = {each.backend for each in contenders if each.python}
    pairs = dict.fromkeys((each.backend, each.python) for each in contenders if each.backend in other)
    known: dict[tuple[str, str], str] = {}
    for name, python in pairs:
        taken = {release for (of, _), release in known.items() if of == name}
        release = ask(python, name).release if python else own_release(name)
        known[name, python] = next(each for each in spelled(release) if each not in taken)
    return tuple(replace(each, release=known.get((each.backend, each.python), "")) for each in contenders)


def spelled(release: str) -> Iterator[str]:
    """The release as it stands in names: by itself, and with numbers behind it."""
    plain = re.sub(r"[^\w.+!-]", "-", release)
    yield plain
    yield from (f"{plain}({number})" for number in range(2, 10**6))


def own_release(name: str) -> str:
    """The release of a backend in this interpreter."""
    try:
        return metadata.version(backend(name).requires[0])
    except metadata.PackageNotFoundError:
        return UNKNOWN


def ask(python: str, name: str) -> Answer:
    """What an interpreter has for a backend.  Raises ValueError where it cannot run it."""
    entry = backend(name)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        modules = dict.fromkeys((*entry.requires, *WORKER_NEEDS))
        answer = _answer(python, [*modules], environment(os.environ, source(Path(folder))))
    if not OLDEST <= answer.python <= NEWEST:
        oldest, newest, found = (".".join(map(str, each)) for each in (OLDEST, NEWEST, answer.python))
        raise ValueError(f"{python} is Python {found}; possible: {oldest} to {newest}")
    if answer.missing:
        needed = " ".join((entry.install, *WORKER_NEEDS))
        raise ValueError(
            f"{python} cannot run {name} ({', '.join(answer.missing)} missing there): {python} -m {needed}"
        )
    return answer


def _answer(python: str, modules: Sequence[str], variables: Mapping[str, str]) -> Answer:
    command = [python, "-c", ASK, *modules]
    try:
        said = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{python}: no answer within {ASK_TIMEOUT_S:g} s; expected a Python") from error
    except OSError as error:
        raise ValueError(f"{python}: cannot be run: {error.strerror}; expected a Python") from error
    lines = said.stdout.splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=Answer)
    except msgspec.DecodeError as error:
        ending = said.stderr.decode(errors="replace").split("\n")
        reason = next((line.strip() for line in reversed(ending) if line.strip()), f"exit code {said.returncode}")
        raise ValueError(f"{python} cannot run this program's worker; expected a Python: {reason[:200]}") from error
