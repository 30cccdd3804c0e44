"""The architecture page has one sentence for every folder, and a package's is the first line of its docstring."""

import ast
import re
from collections import Counter
from pathlib import Path

from tests.support.public_names import ROOT, package_folders

PAGE = ROOT / "docs" / "explanation" / "architecture.md"
ROW = re.compile(r"^\| `(?P<folder>[\w/]+)` \| (?P<sentence>.+\.) \|$", re.MULTILINE)
AROUND = ("docs", "examples", "tests")  # their folders are listed one level deep


def listed() -> dict[str, str]:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert [folder for folder, count in Counter(folder for folder, _ in rows).items() if count > 1] == []
    return dict(rows)


def holds_files(folder: Path) -> bool:
    """Whether more than caches is in a folder; a moved one leaves those behind in an older checkout."""
    return any(file.is_file() and "__pycache__" not in file.parts for file in folder.rglob("*"))


def sentences() -> dict[str, str]:
    """Return the first docstring line of every package, by its folder."""
    found = {}
    for name, folder in package_folders().items():
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        found[name.replace(".", "/")] = docstring.partition("\n")[0]
    return found


def test_every_package_stands_on_the_page_with_the_first_line_of_its_docstring():
    rows = listed()
    wrong = [
        f"write in {PAGE.name}: | `{folder}` | {sentence} |"
        for folder, sentence in sentences().items()
        if rows.get(folder) != sentence
    ]
    assert not wrong, "\n".join(wrong)


def test_every_sentence_of_a_package_ends_with_a_full_stop():
    assert [folder for folder, sentence in sentences().items() if not sentence.endswith(".")] == []


def test_no_folder_stands_on_the_page_that_is_not_in_the_tree():
    around = {
        folder.relative_to(ROOT).as_posix()
        for top in AROUND
        for folder in (ROOT / top).iterdir()
        if folder.is_dir() and not folder.name.startswith((".", "_")) and holds_files(folder)
    }
    assert set(listed()) == set(sentences()) | around
