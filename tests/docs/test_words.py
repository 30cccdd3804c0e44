"""The field's words, in prose and names of library, examples, tests and docs: what STYLE asks for, and nothing else.

A reader who knows the literature should meet its terms. Each word below has one that the field uses instead.
"""

import re
import subprocess

import pytest

from tests.support.public_names import ROOT

INSTEAD = {
    "chance": "probability",
    "law": "distribution (a property, of what a contract asks)",
    "world": "environment, data set or problem",
    "situation": "contexts",
    "dice": "random source, generator",
    "verdict": "conclusion, diagnostics",
    "guess": "draft token, proposal",
    "put aside": "disabled after an error",
    "at fault": "disabled after an error",
    "by the clock": "in wall-clock time",
}
_BANNED = re.compile(rf"(?<![a-z])({'|'.join(INSTEAD)}|guesse)(s|d|ed|ing)?(?![a-z])")

# Files that are others' words, or that quote the word on purpose.
RIGHTFUL = {
    "LICENSE": "a licence's text",
    "speculative/distillation/prompts/": "texts that prompts are made of",
    "docs/explanation/glossary.md": "names the word that others use",
    "tests/docs/test_words.py": "this list",
}


def _tracked():
    shown = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in shown.stdout.split("\n") if name.endswith((".py", ".md", ".toml", "Makefile", ".yml"))]
    return [name for name in names if (ROOT / name).is_file() and not name.startswith(tuple(RIGHTFUL))]


def words_of(text):
    """Return the banned words of a text with their lines; names are split at underscores and capitals."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", line.replace("_", " ")).lower()
        found += [(number, match.group(1)) for match in _BANNED.finditer(plain)]
    return found


def test_prose_and_names_use_the_fields_words():
    wrong = [
        f"{name}:{number}: {word}: say {INSTEAD.get(word, INSTEAD['guess'])}"
        for name in _tracked()
        for number, word in words_of((ROOT / name).read_text())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a chance, two chances", ["chance", "chance"]),
        ("def test_a_draft_put_aside(): ...", ["put aside"]),
        ("TinyWorld().reward_chances", ["world", "chance"]),
        ("RandomDice and draft_laws, guessed and guesses", ["dice", "law", "guess", "guesse"]),
        ("exchanges, lawful, worldwide, indices, clawed", []),
    ],
)
def test_words_are_found_in_prose_and_inside_names(text, words):
    assert [word for _, word in words_of(text)] == words
