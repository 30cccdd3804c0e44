"""Files that the pages name are in the tree."""

import re

from tests.support.public_names import ROOT

PATH = re.compile(r"`((?:arms|rewards|bandits|speculative|examples|tests|docs)/[\w/.-]+\.(?:py|md|json|toml|yml))`")


def test_every_file_that_a_page_names_exists():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in pages
        for path in PATH.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path).is_file()
    ]
    assert not wrong, "pages name files that are not there:\n" + "\n".join(wrong)
