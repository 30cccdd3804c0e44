"""Words of a text in any script."""

import re

# Written without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana and Chinese characters.
_UNSPACED = r"\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Marks that Python does not count among a word's characters: accents, Hebrew points, Arabic and Indic vowel signs.
_MARKS = r"\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WORD = re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\\w{_MARKS}])+")


def words(text: str) -> list[str]:
    """Return the words of a text, lower-cased, punctuation left out.

    A word is a run of letters, digits, underscores and the marks on them; in a script that is written without spaces
    it is one character, so that texts of it agree in part.
    """
    return _WORD.findall(text.lower())


def spaced(text: str) -> str:
    """Return a text with a space on either side of each character of a script that is written without spaces."""
    return _CHARACTER.sub(r" \g<0> ", text)
