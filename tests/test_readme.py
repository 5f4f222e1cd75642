"""The README's commands, options and tree are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from compare.cli.run import build_parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    known = {
        option for action in build_parser()._actions for option in action.option_strings if option.startswith("--")
    }
    table = README.split("## Options")[1].split("## As a library")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == known


def test_documented_choices_are_the_parsers() -> None:
    parser = build_parser()
    for option, choices in re.findall(r"`(--[a-z-]+) \{([^}]*)\}", README):
        action = parser._option_string_actions[option]
        expected = choices.split(",")
        if action.choices:
            assert expected == list(action.choices)
        else:
            assert option == "--mask"


def test_the_tree_lists_every_room_and_nothing_else() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    tree = "\n".join(architecture.split("```")[index] for index in (3, 5))
    listed = re.findall(r"^  (\w+(?:\.py|/)) ", tree, re.MULTILINE)
    modules = {path.name for path in (ROOT / "compare").glob("[!_]*.py")}
    rooms = {f"{path.parent.name}/" for path in (ROOT / "compare").glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules | rooms)
    for folder in re.findall(r"^(\w+)/ ", tree, re.MULTILINE):
        assert (ROOT / folder).is_dir()
    for name in re.findall(r"(\w+\.py)", tree.split("jax_attn/")[1].split("\n")[0]):
        assert list((ROOT / "jax_attn").rglob(name))


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_ci_runs_the_readmes_test_command_word_for_word() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("-m compare --backend both")
    assert commands[1].endswith("-m pytest")
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_first_table_is_the_committed_results() -> None:
    script = import_module("benchmarks.readme_table")
    assert script.readme(README) == README
