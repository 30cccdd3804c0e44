"""A pool file is read at once or refused by name, whatever it holds."""

import pytest

from speculative.pools.spec import read_pool_spec
from tests.support.tiny_pool import POOL


def _written(folder, text):
    file = folder / "pool.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 5000, "is not TOML"),
        ("x = 1" + "0" * 5000, "is not TOML: Exceeds the limit"),
        (".".join("a" * 50_000) + " = 1", "a key must have at most 32 parts, got 50000"),
        ("[" + ".".join("a" * 20_000) + "]", "a key must have at most 32 parts, got 20000"),
        ('x = { "a"' + '."a"' * 99 + " = 1 }", "a key must have at most 32 parts, got 100"),
    ],
)
def test_a_file_that_nests_too_deep_is_refused(tmp_path, text, message):
    file = _written(tmp_path, POOL.replace("target =", text + "\ntarget =", 1) if text[0] != "[" else POOL + text)
    with pytest.raises(ValueError, match=message) as refusal:
        read_pool_spec(file)
    assert str(file) in str(refusal.value)


def test_texts_may_have_as_many_points_as_they_like(tmp_path):
    points = f"chat_template_kwargs = {{ a = '{'a.' * 99}', b = \"{'b. ' * 99}\" }} # {'c.' * 99}\n"
    assert read_pool_spec(_written(tmp_path, points + POOL)).chat_template_kwargs["a"] == "a." * 99


def test_names_that_repeat_are_refused_before_any_model_is_loaded(tmp_path):
    named = POOL.replace("draft_length = 3", 'draft_length = 3\nname = "a"').replace(
        "draft_length = 7", 'draft_length = 7\nname = "a"'
    )
    with pytest.raises(ValueError, match="arms: arms must have different names, got 'a' twice"):
        read_pool_spec(_written(tmp_path, named))
