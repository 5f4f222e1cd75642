"""Every variant describes itself in a literal, and refuses what the literal does not declare before it computes."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compare.backends import BACKENDS, backend
from compare.maths.prediction import needed_bytes
from compare.schema import contract
from compare.schema.contract import MASKS, Mask, Scores, Variant
from compare.variants import check, described, description, package_file, refusal, variants
from tests.variants import checking
from tests.variants.checking import Named, attention_of, description_of

EVERY = [(name, each) for name in BACKENDS for each in variants(name)]
KINDS = {each.partition(":")[0] for each in MASKS}
# Only shapes: a variant that looks at a device or computes anything fails.
Q, K = (SimpleNamespace(shape=(1, 6, heads, 8)) for heads in (4, 2))

every_variant = pytest.mark.parametrize("variant", EVERY, ids=":".join)


def literal(path: Path) -> dict[str, Any]:
    """The fields of ``VARIANT`` in a file, without importing it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    [call] = [each.value for each in body if isinstance(each, ast.Assign) and ast.unparse(each.targets) == "VARIANT"]
    assert isinstance(call, ast.Call)
    assert (ast.unparse(call.func), call.args) == ("Variant", [])
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}


@every_variant
def test_its_description_is_a_literal_and_holds_together(variant: Named) -> None:
    name, file = variant
    path = package_file(name, f"variants/{file}.py")
    assert path
    fields = literal(path)
    found = Variant(**fields)
    assert found == description_of(variant)
    assert found.summary
    assert not found.summary.endswith(".")
    assert found.masks
    assert {*found.skips} <= {*found.masks} <= KINDS
    assert found.scores in ("all", "visible", "none")
    assert {*found.candidates} <= {*variants(name)}


def test_a_choosing_variant_declares_what_one_of_its_candidates_declares() -> None:
    for name in BACKENDS:
        fused = description_of((name, "fused"))
        assert {*fused.masks} == {mask for each in fused.candidates for mask in description_of((name, each)).masks}


@pytest.fixture
def future(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mask of a kind that the contract defines and no variant declares."""
    parsed, seen, last = contract.parse_mask, contract.visible, contract.last_query_with_a_key

    def parse(text: str) -> Mask:
        return Mask("future", int(text[7:])) if text.startswith("future:") else parsed(text)

    def visible(mask: Mask, i: Any, j: Any) -> Any:
        return j <= i + mask.size if mask.kind == "future" else seen(mask, i, j)

    def last_query(mask: Mask, kv_len: int) -> int | None:
        return None if mask.kind == "future" else last(mask, kv_len)

    monkeypatch.setattr(contract, "parse_mask", parse)
    monkeypatch.setattr(contract, "visible", visible)
    monkeypatch.setattr(contract, "last_query_with_a_key", last_query)
    return "future:2"


def reason_of(variant: Named) -> str:
    return f"{variant[1]} does not support mask future; supported: {', '.join(description_of(variant).masks)}"


@every_variant
def test_a_new_kind_of_mask_is_refused_before_anything_is_computed(variant: Named, future: str) -> None:
    with pytest.raises(NotImplementedError) as refused:
        attention_of(variant)(Q, K, K, mask=future)
    assert str(refused.value) == reason_of(variant)


@every_variant
def test_asked_beforehand_it_refuses_a_new_kind_too(variant: Named, future: str) -> None:
    name, file = variant
    module = import_module(f"{backend(name).package}.variants.{file}")
    asked = Scores(Mask("future", 2))
    if hasattr(module, "refusal"):
        assert module.refusal(Q, K, K, asked) == reason_of(variant)
    if hasattr(module, "chosen"):
        with pytest.raises(NotImplementedError) as refused:
            module.chosen(Q, K, K, asked)
        assert str(refused.value) == reason_of(variant)


@every_variant
def test_masks_that_it_does_not_declare_are_refused(variant: Named) -> None:
    declared = description_of(variant).masks
    for mask in (each for each in checking.MASKS if contract.parse_mask(each).kind not in declared):
        with pytest.raises(NotImplementedError) as refused:
            attention_of(variant)(Q, K, K, mask=mask)
        assert str(refused.value) == contract.unsupported(
            variant[1], description_of(variant), contract.parse_mask(mask)
        )


@pytest.mark.parametrize(
    ("literal", "said"),
    [
        ('VARIANT = Variant(summary="x", masks=("causal",), score="all")', "no field score"),
        ('VARIANT = Variant(summary="x", masks=("casual",))', "no mask casual"),
        ('VARIANT = Variant(summary="x", masks="causal")', "must be a literal"),
        ("VARIANT = describe()", "must be a literal"),
        ('VARIANT: Variant = Variant(summary="x", masks=MASKS)', "must be a literal"),
        ("VARIANT = 3", "named fields"),
    ],
)
def test_a_mistake_in_a_users_description_is_refused_in_one_line(literal: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"{literal}\n\ndef attend(q, k, v, *, mask, scale): ...\n")
    with pytest.raises(ValueError, match=said) as refused:
        check(f"{path}:attend")
    assert "\n" not in str(refused.value)


def test_a_users_description_counts_before_a_run_and_never_in_a_report(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        'VARIANT: Variant = Variant(summary="x", masks=("causal",))\n\ndef attend(q, k, v, *, mask, scale): ...\n'
    )
    own, full = f"{path}:attend", checking.problem(mask="full")
    check(own)
    assert description("jax", own) is None
    assert refusal(full, "jax", own) == "attend does not support mask full; supported: causal"
    assert refusal(checking.problem(mask="causal"), "jax", own) == ""


def test_a_refused_mask_needs_no_memory_and_its_reason_comes_first() -> None:
    long = checking.problem(mask="causal", lengths=(2**16, 2**16))
    assert needed_bytes(long, ("step",), described("jax", "window")) == needed_bytes(long, ("step",), None)
    assert refusal(long, "jax", "window") == "window does not support mask causal; supported: window"
