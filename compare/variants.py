"""A user's own attention as a contender: ``backend=path/to/file.py:function``, looked at before it is run.

The parent reads the file without running it; the worker loads it.  From there on it is judged, timed and reported like
every variant.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

SIGNATURE = "(q, k, v, *, mask, scale)"


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
