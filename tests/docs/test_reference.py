"""The reference pages list every public name, and no name that is gone."""

import ast
import re
from pathlib import Path

import pytest

import arms
import bandits
import rewards

ROOT = Path(__file__).parents[2]
ENTRY = re.compile(r"^::: (?P<name>[\w.]+)$", re.MULTILINE)
COMMANDS = ("speculative/cli/",)  # described by --help


def listed(page: str) -> list[str]:
    return ENTRY.findall((ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8"))


def defined(module: Path) -> list[str]:
    """Public classes and functions that a module defines."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    nodes = (node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return [node.name for node in nodes if not node.name.startswith("_")]


@pytest.mark.parametrize("package", [arms, rewards, bandits], ids=lambda package: package.__name__)
def test_reference_lists_what_the_package_exports(package):
    names = listed(package.__name__)
    assert [name for name in package.__all__ if f"{package.__name__}.{name}" not in names] == []
    assert len(names) == len(set(names))


def test_reference_lists_what_speculative_defines():
    names = {name.rsplit(".", 1)[1] for name in listed("speculative")}
    for module in sorted((ROOT / "speculative").rglob("*.py")):
        path = module.relative_to(ROOT).as_posix()
        if not path.startswith(COMMANDS):
            assert [name for name in defined(module) if name not in names] == [], path
