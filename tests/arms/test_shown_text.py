"""Text of others: nothing in it acts on a page or a terminal."""

import pytest

from arms.shown_text import escape, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\u241b[31mred"),
        ("a\x00b\x7f", "a\u2400b\u2421"),
        ("exe.\u202egnp", "exe.\ufffdgnp"),
        ("\ud800", "?"),
        ("two\nlines\t\u00fc", "two\nlines\t\u00fc"),
    ],
)
def test_controls_become_pictures_and_the_rest_stays(text, shown):
    assert visible(text) == shown


def test_tags_and_quotes_are_escaped_once():
    assert escape("<a href=\"x\" id='y'>&amp;\x1b") == "&lt;a href=&quot;x&quot; id=&#x27;y&#x27;&gt;&amp;amp;\u241b"
