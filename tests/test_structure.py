"""What the source promises by its form: mirrored packages, no framework in the harness, docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from compare.cli.listing import variants_table
from tests.described import BLOCK, PAGE

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("compare", "jax_attn", "torch_attn")
FRAMEWORKS = ("jax_attn", "torch_attn")
MODULES = sorted(path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def public(node: ast.Module | ast.ClassDef) -> list[Function | ast.ClassDef]:
    """The public functions and classes that stand directly in a module or a class."""
    return [each for each in node.body if isinstance(each, Function | ast.ClassDef) and not each.name.startswith("_")]


def signature(function: Function) -> str:
    """Names, order, kinds and defaults of the parameters; types differ between frameworks."""
    arguments = function.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if each:
            each.annotation = None
    return ast.unparse(arguments)


def surface(node: ast.Module | ast.ClassDef) -> dict[str, str]:
    """Public names, those of classes dotted, with their signatures."""
    found: dict[str, str] = {}
    for each in public(node):
        if isinstance(each, ast.ClassDef):
            found |= {each.name: "class"} | {f"{each.name}.{name}": text for name, text in surface(each).items()}
        else:
            found[each.name] = signature(each)
    return found


def variants_of(package: str) -> set[str]:
    return {path.name for path in (ROOT / package / "variants").glob("[!_]*.py")}


@pytest.mark.parametrize("module", ["adapter.py", "profiler.py", "stack.py", "devices.py", "team.py"])
def test_the_frameworks_mirror_each_other(module: str) -> None:
    one, other = (surface(tree(Path(package) / module)) for package in FRAMEWORKS)
    assert one == other


@pytest.mark.parametrize("package", FRAMEWORKS)
@pytest.mark.parametrize(
    ("asking", "protocol", "module"),
    [
        ("backends.py", "Adapter", "adapter.py"),
        ("backends.py", "Programs", "adapter.py"),
        ("worker/composing.py", "Devices", "devices.py"),
        ("worker/ranks.py", "Team", "team.py"),
    ],
)
def test_a_framework_has_what_the_protocol_asks(package: str, asking: str, protocol: str, module: str) -> None:
    asked, offered = (surface(tree(path)) for path in (Path("compare") / asking, Path(package) / module))
    methods = {name: text for name, text in asked.items() if name.startswith(f"{protocol}.")}
    assert methods
    assert methods == {name: text for name, text in offered.items() if name.startswith(f"{protocol}.")}


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_an_adapter_is_made_from_a_device_and_threads(package: str) -> None:
    [adapter] = [each for each in public(tree(Path(package) / "adapter.py")) if each.name == "Adapter"]
    [init] = [each for each in adapter.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    assert signature(init) == "self, device, threads"


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_every_variant_has_the_one_signature(package: str) -> None:
    names = variants_of(package)
    assert "naive.py" in names
    found = {name: surface(tree(Path(package) / "variants" / name)).get("attention") for name in names}
    assert found == dict.fromkeys(names, "q, k, v, *, mask='causal', scale=None")


def test_the_table_of_variants_is_made_from_their_descriptions() -> None:
    [shown] = BLOCK.findall(PAGE.read_text())
    assert shown == variants_table(), "run: python -m tests.described"


def test_a_variant_of_one_framework_alone_says_why() -> None:
    one, other = (variants_of(package) for package in FRAMEWORKS)
    for name in {name.removesuffix(".py") for name in one ^ other}:
        assert re.search(rf"\| `{name}` \|.*(JAX|PyTorch) alone: \w", variants_table())


def imported_packages(module: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_harness_imports_no_framework() -> None:
    for path in (path for path in MODULES if path.parts[0] == "compare"):
        assert not imported_packages(tree(path)) & {"jax", "jaxlib", "torch", *FRAMEWORKS}, path


def own_modules() -> dict[str, ast.Module]:
    """The modules of `compare` by their dotted names below it."""
    paths = [path for path in MODULES if path.parts[0] == "compare" and path.name != "__init__.py"]
    return {".".join(path.with_suffix("").parts[1:]): tree(path) for path in paths}


def imported_modules(module: ast.Module, known: Collection[str]) -> set[str]:
    """What a module imports of `compare`, those imports included that stand in functions or are for types alone."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "compare":
            base = (node.module or "").removeprefix("compare").removeprefix(".")
            names = [f"{base}.{alias.name}".removeprefix(".") for alias in node.names]
            found |= {name if name in known else base for name in names}
    return found


def test_every_room_imports_only_from_those_above_it() -> None:
    drawn = (ROOT / "docs" / "architecture.md").read_text().split("compare/\n")[1].split("```")[0]
    order = ["__version__", *re.findall(r"^  (\w+)(?:\.py|/) ", drawn, re.MULTILINE), "__main__"]
    modules = own_modules()
    assert {name.partition(".")[0] for name in modules} == set(order)
    for name, module in modules.items():
        own = name.partition(".")[0]
        above = {*order[: order.index(own)], own}
        assert {each.partition(".")[0] for each in imported_modules(module, modules)} <= above, name


def test_no_module_imports_in_a_circle() -> None:
    modules = own_modules()
    graph = {name: imported_modules(module, modules) for name, module in modules.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_a_framework_does_not_import_the_other(package: str) -> None:
    [other] = {"jax", "torch"} - {package.removesuffix("_attn")}
    for path in (path for path in MODULES if path.parts[0] == package):
        assert not imported_packages(tree(path)) & {other, f"{other}_attn"}, path


def test_packages_import_nothing() -> None:
    for path in (path for path in MODULES if path.name == "__init__.py"):
        assert (ROOT / path).read_text().strip() == "", path


def test_every_public_name_says_what_it_is() -> None:
    for path in (path for path in MODULES if path.name != "__init__.py"):
        module = tree(path)
        nodes = public(module)
        nodes += [method for each in nodes if isinstance(each, ast.ClassDef) for method in public(each)]
        assert ast.get_docstring(module), path
        assert [node.name for node in nodes if not ast.get_docstring(node)] == [], path
