"""Every page has a description: its first paragraph of prose."""

import runpy

import pytest

from tests.support.public_names import ROOT

first_paragraph = runpy.run_path(str(ROOT / "docs" / "hooks" / "descriptions.py"))["first_paragraph"]


def test_headings_tables_pictures_and_code_are_no_description():
    blocks = ("<!-- note -->", "# Title", "| a |\n|---|", "![plot](a.png)", "The first\n*sentence* of [a page](b.md).")
    page = "\n\n".join((*blocks, "Second."))
    assert first_paragraph(page) == "The first sentence of a page."


def test_a_long_paragraph_is_cut_between_words():
    description = first_paragraph("word " * 100)
    assert description.endswith("word…")
    assert len(description) <= 160


@pytest.mark.parametrize("text", ["", "# Title only\n", "```python\nx = 1\n```\n"])
def test_a_page_without_prose_has_none(text):
    assert first_paragraph(text) == ""
