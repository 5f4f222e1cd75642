"""A function of the user's in the race: right, wrong, with another signature, raising, and not there at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.cli.main import main
from tests.run_fake import arguments, outcome, row

OWN = """
import functools

import side_by_side
from tests.fake_attn.variants.naive import planned

def attend(q, k, v, *, mask="causal", scale=None):
    return planned(q, k, v, mask, scale, slower=side_by_side.SLOWER)

def wrong(q, k, v, *, mask, scale):
    return planned(q, k, v + v, mask, scale)

def narrow(q, k, v):
    return planned(q, k, v, "causal", None)

@functools.cache
def hidden(q, k, v):
    return narrow(q, k, v)

partly = functools.partial(planned, slower=2.0)

def greedy(*tensors, **options):
    return planned(*tensors, options["mask"], options["scale"])

if side_by_side.SLOWER > 1:
    def conditional(q, k, v, /, mask="causal", scale=None):
        return planned(q, k, v, mask, scale)

def raising(q, k, v, *, mask, scale):
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "side_by_side.py").write_text("SLOWER = 1.5\n")
    (folder / "own.py").write_text(OWN)
    return folder / "own.py"


def test_it_is_timed_and_judged_like_any_other(out: Path, own: Path) -> None:
    assert main(arguments(out, "fake:naive", f"fake={own}:attend")) == 0
    found = row(out, f"fake={own}:attend:eager")
    assert found.agreement.agrees
    assert found.passes["forward"].device_s == pytest.approx((1.5e-3,) * 6)


def test_a_wrong_result_is_wrong(out: Path, own: Path) -> None:
    assert main(arguments(out, "fake:naive", f"fake={own}:wrong")) == 1
    assert not row(out, f"fake={own}:wrong:eager").agreement.agrees


@pytest.mark.parametrize("function", ["greedy", "conditional"])
def test_how_the_signature_is_written_does_not_matter(out: Path, own: Path, function: str) -> None:
    assert main(arguments(out, f"fake={own}:{function}")) == 0


@pytest.mark.parametrize(("function", "reason"), [("hidden", "q, k, v, *, mask, scale"), ("raising", "no such luck")])
def test_what_cannot_be_called_or_raises_is_a_row_with_its_reason(
    out: Path, own: Path, function: str, reason: str
) -> None:
    assert main(arguments(out, "fake:naive", f"fake={own}:{function}")) == 3
    failure = row(out, f"fake={own}:{function}:eager")
    assert failure.status == "ERROR"
    assert reason in failure.reason
    assert outcome(row(out, "fake:naive:eager")) == "ok"


@pytest.mark.parametrize(
    ("contender", "said"),
    [
        ("fake={folder}/none.py:attend", "none.py: cannot be read: No such file"),
        (
            "fake={folder}/own.py:missing",
            "a function missing(q, k, v, *, mask, scale) that is defined there; its functions",
        ),
        ("fake={folder}/own.py:planned", "expected a function planned(q, k, v, *, mask, scale) that is defined there"),
        ("fake={folder}/own.py:side_by_side", "that is defined there; its functions are attend, wrong"),
        ("fake={folder}/own.py:partly", "that is defined there; its functions are attend, wrong"),
        ("fake={folder}/own.py:narrow", "expected narrow(q, k, v, *, mask, scale), got (q, k, v): got an unexpected"),
        ("fake={folder}/empty.py:attend", "it defines no function"),
        ("fake={folder}/broken.py:attend", "broken.py: line 1 is no Python"),
        ("fake={folder}/own.py", "expected backend=file.py:function"),
        ("numpy={folder}/own.py:attend", "a backend of fake"),
        ("fake={folder}/own.py:attend:jit", "modes eager, not 'jit'"),
    ],
)
def test_bad_names_are_refused_before_anything_runs(
    out: Path, own: Path, capsys: pytest.CaptureFixture[str], contender: str, said: str
) -> None:
    (own.parent / "broken.py").write_text("def (:\n")
    (own.parent / "empty.py").write_text("attend = print\n")
    with pytest.raises(SystemExit) as end:
        main(arguments(out, contender.format(folder=own.parent)))
    assert end.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert not out.exists()
