"""Find where a test reads or replaces a private name of the code under test."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.public_names import PACKAGES

PROTOCOLS = {"_replace", "_asdict", "_fields", "_make", "_repr_html_"}  # of named tuples and notebooks: public


@dataclass(frozen=True)
class PrivateName:
    """One use of a private name: the line and the name."""

    line: int
    name: str


def private_names(source: str) -> list[PrivateName]:
    """Return the private names that a test file imports, reads or patches; those it defines itself are its own.

    Names of libraries, read from the module that was imported, are none of the code under test.
    """
    tree = ast.parse(source)
    own, libraries = set(_defined(tree)) | PROTOCOLS, set(_libraries(tree))
    return [use for use in _uses(tree, libraries) if use.name not in own]


def private_names_of(file: Path) -> list[PrivateName]:
    return private_names(file.read_text(encoding="utf-8"))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the methods, functions, fields and attributes that the file itself gives a private name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            yield node.attr


def _libraries(tree: ast.Module) -> Iterator[str]:
    """Yield the names under which the file imports modules of others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.asname or alias.name for alias in node.names if not _is_ours(alias.name))


def _root(node: ast.expr) -> str | None:
    """Return the name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_ours(module: str) -> bool:
    top = module.split(".")[0]
    return top in PACKAGES or top.endswith("_bench")


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _uses(tree: ast.Module, libraries: set[str]) -> Iterator[PrivateName]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and _root(node) not in libraries:
            yield PrivateName(node.lineno, node.attr)
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            yield from (PrivateName(node.lineno, alias.name) for alias in node.names if _is_private(alias.name))
        elif isinstance(node, ast.Call) and _is_patch(node):
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
            if isinstance(name, str) and _is_private(name):
                yield PrivateName(node.lineno, name)


def _is_patch(node: ast.Call) -> bool:
    """Tell whether a call is getattr, setattr or monkeypatch.setattr of an object and a name."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"getattr", "setattr", "delattr"} and len(node.args) >= 2
