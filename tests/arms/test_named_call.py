"""A name with settings is read as text, whatever stands in it."""

import pytest

from arms.named_call import listed, read_call, with_settings


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("snips", "snips", {}),
        (" clipped_ips( max_weight = 20 ) ", "clipped_ips", {"max_weight": 20}),
        ("f(a=-1.5, b='x, y', c=None, d=True)", "f", {"a": -1.5, "b": "x, y", "c": None, "d": True}),
        ("f(grid=(1, 2), names=[a, b(c=1)])", "f", {"grid": (1, 2), "names": ["a", "b(c=1)"]}),
        ("f(policy=g(policy=h(x=1)))", "f", {"policy": "g(policy=h(x=1))"}),
        ("f(table={'a': 1})", "f", {"table": {"a": 1}}),
        ("package.module:Class(x=1)", "package.module:Class", {"x": 1}),
    ],
)
def test_name_and_settings_are_read(text, name, settings):
    assert read_call(text) == (name, settings)


@pytest.mark.parametrize(
    "text",
    ["f(", "f(2)", "f(**{})", "f(a=1)(b=2)", "f(a=1) + 2", "f(a=1, a=2)", "f(a=1+b)", "f(a=x.y)", "f" + "(a=f" * 300],
)
def test_what_reads_otherwise_is_refused(text):
    with pytest.raises(ValueError, match="write NAME or NAME"):
        read_call(text)


def test_entries_are_separated_by_commas_outside_of_brackets_and_quotes():
    assert listed("a, b(c=1, d=(2, 3)), e(f='(,'), ") == ["a", "b(c=1, d=(2, 3))", "e(f='(,')"]
    assert listed("don't, can't") == ["don't", "can't"]
    assert listed("") == []


def test_a_setting_in_both_places_is_refused():
    assert with_settings("f(a=1)", {"b": 2}) == ("f", {"a": 1, "b": 2})
    with pytest.raises(ValueError, match="f: a is set twice"):
        with_settings("f(a=1)", {"a": 2})
