"""The variants of each framework, and functions of the user's own: what each says of itself, and what it refuses.

A variant is one file in ``variants/`` of a framework's package: a function ``attention`` and a literal ``VARIANT``.
A user's own is ``backend=path/to/file.py:function``, where ``VARIANT`` may be left out.  Files are read, not imported:
only the worker runs them.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec

from compare.backends import BACKENDS, backend
from compare.maths import zigzag
from compare.schema.contract import MASKS, Variant, unsupported
from compare.schema.records import Problem

SIGNATURE = "(q, k, v, *, mask, scale)"


def package_file(name: str, relative: str) -> Path | None:
    """A path inside the backend's package, without importing it; None where it does not exist."""
    paths = (root / relative for root in _roots(backend(name).package))
    return next((path for path in paths if path.exists()), None)


@cache
def _roots(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(root) for root in (spec.submodule_search_locations if spec else None) or ()]


def variants(name: str) -> list[str]:
    """Names of the backend's variants: its files in ``variants/``."""
    folder = package_file(name, "variants")
    return sorted(path.stem for path in folder.glob("[!_]*.py")) if folder else []


def sharing(name: str) -> list[str]:
    """The backend's variants that run on several devices."""
    return [variant for variant in variants(name) if (found := description(name, variant)) and found.exchange]


def refuses(name: str, variant: str) -> bool:
    """Whether a variant can say beforehand what it refuses: by a function ``refusal`` or ``chosen`` in its file."""
    path = package_file(name, f"variants/{variant}.py")
    body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
    return any(isinstance(node, ast.FunctionDef) and node.name in ("refusal", "chosen") for node in body)


def description(name: str, variant: str) -> Variant | None:
    """What a variant of this program says of itself; None for any other.

    Reports go by this: a user's file may have changed since it was measured, or be another one here.
    """
    if name not in BACKENDS or not variant.isidentifier():  # names in results may come from anywhere
        return None
    paths = (root / "variants" / f"{variant}.py" for root in _roots(backend(name).package))
    return next(filter(None, map(_read, paths)), None)


@cache
def _read(path: Path) -> Variant | None:
    try:
        return declared(ast.parse(path.read_text(encoding="utf-8")), path)
    except (OSError, SyntaxError, ValueError):  # none that can be read: `check` says why before a run
        return None


def declared(module: ast.Module, path: Path) -> Variant | None:
    """The ``VARIANT`` of a file.  Raises ValueError where it is no literal, or its fields do not fit."""
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if isinstance(node, ast.Assign | ast.AnnAssign) and [ast.unparse(target) for target in targets] == ["VARIANT"]:
            return _converted(node.value, path)
    return None


def _converted(value: ast.expr | None, path: Path) -> Variant:
    if not isinstance(value, ast.Call) or value.args:
        raise ValueError(f"{path}: expected VARIANT = Variant(...) with named fields")
    try:
        fields = {str(field.arg): ast.literal_eval(field.value) for field in value.keywords}
        found = msgspec.convert(fields, Variant)
    except ValueError as error:  # msgspec's is one too
        raise ValueError(f"{path}: VARIANT must be a literal of the fields of Variant: {error}") from error
    known = {field.name for field in dataclasses.fields(Variant)}
    kinds = {mask.partition(":")[0] for mask in MASKS}
    for what, unknown, possible in (("field", {*fields} - known, known), ("mask", {*found.masks} - kinds, kinds)):
        if unknown:
            raise ValueError(f"{path}: VARIANT has no {what} {min(unknown)}; possible: {', '.join(sorted(possible))}")
    return found


def described(name: str, variant: str) -> Variant | None:
    """The same before a run, where a user's own function may be described in its file too."""
    return _read(file_of(variant)) if is_own(variant) else description(name, variant)


def refusal(problem: Problem, name: str, variant: str) -> str:
    """Why a variant does not run on a problem, by its description; empty where nothing speaks against it.

    A user's own function without a description is tried on everything, and verification decides.
    """
    found = described(name, variant)
    if found is None:
        return "" if is_own(variant) else f"{variant}: {name} has no description of it (VARIANT), so nothing is known"
    called = variant.rpartition(":")[2]
    return unsupported(called, found, problem.scores.mask) or _not_shared(problem, name, found)


def _not_shared(problem: Problem, name: str, found: Variant) -> str:
    if problem.devices == 1:
        return ""
    if not found.exchange:
        return f"runs on one device; {problem.devices} devices share {', '.join(sharing(name))}"
    if problem.layout != "btnh":
        return f"several devices share layout btnh, not {problem.layout}"
    lengths = zigzag.refusal(problem.q_len, problem.kv_len, problem.scores.mask, problem.devices)
    by_heads = found.exchange == "all_to_all"
    return lengths or (zigzag.heads_refused(problem.heads, problem.kv_heads, problem.devices) if by_heads else "")


def is_own(variant: str) -> bool:
    """Whether a variant's name is a file and a function."""
    return ".py:" in variant


def file_of(variant: str) -> Path:
    """The file of such a variant."""
    return Path(variant.rpartition(":")[0])


def check(variant: str) -> None:
    """Refuse a file that is not there or no Python, and what it does not define as an attention.  Raises ValueError."""
    path, _, name = variant.rpartition(":")
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{path}: cannot be read: {reason}") from error
    except SyntaxError as error:
        raise ValueError(f"{path}: line {error.lineno} is no Python: {error.msg}") from error
    declared(tree, Path(path))
    functions = {node.name: node for node in _statements(tree.body) if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        known = f"its functions are {', '.join(functions)[:200]}" if functions else "it defines no function"
        raise ValueError(f"{path}: expected a function {name}{SIGNATURE} that is defined there; {known}")
    if functions[name].decorator_list:
        return  # what it takes is known once it is loaded
    try:
        _bind(_signature(functions[name].args))
    except TypeError as error:
        taken = ast.unparse(functions[name].args)
        raise ValueError(f"{path}: expected {name}{SIGNATURE}, got ({taken}): {error}") from error


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module's top level, and those that hang on a condition or on an import."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            handlers = [each for handler in getattr(node, "handlers", ()) for each in handler.body]
            yield from _statements([*node.body, *handlers, *node.orelse])


def _signature(given: ast.arguments) -> inspect.Signature:
    """The signature that a function is written with; what its defaults are does not matter."""
    kind = inspect.Parameter
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    positional: list[tuple[str, Any]] = [(each.arg, kind.POSITIONAL_ONLY) for each in given.posonlyargs]
    positional += [(each.arg, kind.POSITIONAL_OR_KEYWORD) for each in given.args]
    found = [
        kind(name, how, default=kind.empty if at < required else None) for at, (name, how) in enumerate(positional)
    ]
    found += [kind(each.arg, kind.VAR_POSITIONAL) for each in [given.vararg] if each]
    keywords = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    found += [kind(each.arg, kind.KEYWORD_ONLY, default=default or kind.empty) for each, default in keywords]
    found += [kind(each.arg, kind.VAR_KEYWORD) for each in [given.kwarg] if each]
    return inspect.Signature(found)


def _bind(signature: inspect.Signature) -> None:
    """Raises TypeError where it cannot be called as an attention is."""
    signature.bind(None, None, None, mask="causal", scale=None)


@cache
def load(variant: str) -> Callable[..., Any]:
    """Run the file and return its function.  Raises TypeError for one that cannot be called as an attention."""
    path, _, function = variant.rpartition(":")
    folder = str(Path(path).absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # behind everything else: a file of the user's must not shadow a library
    spec = spec_from_file_location(f"own_{Path(path).stem}", Path(path).absolute())
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, function)
    try:
        _bind(inspect.signature(found))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{variant}: expected a function that takes {SIGNATURE}: {error}") from error
    return found
