"""Docstrings that the reference renders: one name a row."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.public_names import PACKAGES, ROOT

SECTION = re.compile(r"^(?P<indent> *)(?:Args|Attributes|Raises|Yields):$")
SEVERAL = re.compile(r"^ +\w+(?:, \w+)+(?: \([^)]*\))?: ")


def rows_of_several_names(docstring: str) -> list[str]:
    """Return the rows of a docstring's sections that describe several names together."""
    found, indent = [], -1
    for line in docstring.splitlines():
        if head := SECTION.match(line):
            indent = len(head["indent"])
        elif line.strip() and len(line) - len(line.lstrip()) <= indent:
            indent = -1
        elif indent >= 0 and len(line) - len(line.lstrip()) == indent + 4 and SEVERAL.match(line):
            found.append(line.strip())
    return found


def docstrings(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def test_every_row_of_a_docstring_describes_one_name():
    wrong = [
        f"{module.relative_to(ROOT)}: {row}"
        for package in PACKAGES
        for module in sorted((ROOT / package).rglob("*.py"))
        for docstring in docstrings(module)
        for row in rows_of_several_names(docstring)
    ]
    assert not wrong, "the reference cannot render 'a, b: ...'; give each name its row:\n" + "\n".join(wrong)


def test_a_row_of_several_names_is_found_and_prose_is_not():
    docstring = (
        "Do it.\n\nArgs:\n    a, b: two numbers\n    c: one, two: three\n        d, e: prose\nNote: f, g: prose\n"
    )
    assert rows_of_several_names(docstring) == ["a, b: two numbers"]
