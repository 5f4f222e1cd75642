"""A user's own attention as a contender: ``backend=path/to/file.py:function``, looked at before it is run.

The parent reads the file without running it; the worker loads it.  From there on it is judged, timed and reported like
every variant.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
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
    """Refuse a file that is not there or not Python, and a function that it does not define.  Raises ValueError."""
    path, _, function = variant.rpartition(":")
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{path}: cannot be read: {reason}") from error
    except SyntaxError as error:
        raise ValueError(f"{path}: line {error.lineno} is no Python: {error.msg}") from error
    defined = sorted(_names(tree))
    if function not in defined:
        known = f"it defines {', '.join(defined)[:200]}" if defined else "it defines nothing"
        raise ValueError(f"{path}: no function {function!r}; {known}")


def _names(tree: ast.Module) -> set[str]:
    """What a module's top level binds, as far as that can be read."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node in tree.body:
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom) and node in tree.body:
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign) and node in tree.body:
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


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
        inspect.signature(found).bind(None, None, None, mask="causal", scale=None)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{variant}: expected a function that takes {SIGNATURE}: {error}") from error
    return found
