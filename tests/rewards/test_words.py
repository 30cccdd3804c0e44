import pytest

from rewards.words import spaced, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat_7, où?", ["the", "cat_7", "où"]),
        ("东京 has cats", ["东", "京", "has", "cats"]),
        ("今日はok", ["今", "日", "は", "ok"]),
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 ...", ["cafe\u0301"]),
        ("안녕 세계", ["안녕", "세계"]),
        ("", []),
    ],
)
def test_words_of_a_script(text, expected):
    assert words(text) == expected


def test_only_characters_of_scripts_without_spaces_are_set_apart():
    assert spaced("a cat, 东京!") == "a cat,  东  京 !"
