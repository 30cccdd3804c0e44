"""Files that the pages name are in the tree, and results name no place outside it."""

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


def test_no_result_names_a_path_of_the_machine_that_measured_it():
    absolute = re.compile(r"""["': =](/[\w.-]+/[\w./-]+|[A-Za-z]:\\\\\w[^"]*)""")
    wrong = [
        f"{result.name}: {path}"
        for result in sorted((ROOT / "docs" / "results").glob("*.json"))
        for path in absolute.findall(result.read_text(encoding="utf-8"))
    ]
    assert not wrong, "results name paths of a machine:\n" + "\n".join(wrong)
